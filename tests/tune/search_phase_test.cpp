// Searches for redundant attentions with a model that trains: what they find and leave, that they go on after a stop,
// and that recipes tune and fold what was found.
#include "tune/search_phase.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "session/fold.h"
#include "session/request.h"
#include "session/session.h"
#include "tune/held_out.h"
#include "tune/markup.h"
#include "tune/search_files.h"
#include "tune/step_log.h"
#include "tune/support.h"
#include "tune/training_state.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;
using test::Numbers;
using test::run_until;
using test::tiny_recipe;

constexpr std::size_t kMostBytes = std::size_t{64} << 20;

/// A recipe that searches for one attention of a tiny model and tunes without it.
Recipe searching_recipe(const test::TempFolder& folder) {
  Recipe recipe = tiny_recipe(folder);
  recipe.eas.emplace();
  recipe.eas->skip_count = 1;
  recipe.eas->rep_dim = recipe.eas->pia_dim = 8;
  recipe.eas->search.steps = 6;
  recipe.eas->search.every_steps = 1;
  recipe.eas->search.warmup_steps = 2;
  recipe.per_device_train_batch_size = 2;
  recipe.max_steps = 3;
  return recipe;
}

Json scores_in(const fs::path& folder) {
  return read_json_file(folder / "scores.json");
}

std::vector<double> losses(const fs::path& log) {
  std::vector<double> losses;
  for (const StepRecord& record : read_step_log(log)) losses.push_back(record.loss);
  return losses;
}

/// The weights whose names have one of these parts become 0.
void zero_weights(const fs::path& file, const std::vector<std::string>& parts) {
  std::string bytes = read_regular_file(file, kMostBytes);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  const Json header = parse_json(std::string_view(bytes).substr(8, length), file.string());
  int64_t zeroed = 0;
  for (const auto& [name, entry] : header.items()) {
    if (std::none_of(parts.begin(), parts.end(), [&, &n = name](const auto& part) { return n.find(part) != n.npos; }))
      continue;
    const auto begin = entry.at("data_offsets").at(0).get<size_t>(), end = entry.at("data_offsets").at(1).get<size_t>();
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(8 + length + begin), end - begin, '\0');
    ++zeroed;
  }
  ASSERT_EQ(zeroed, static_cast<int64_t>(parts.size()));
  std::ofstream(file, std::ios::binary) << bytes;
}

// Layer 2 neither attends nor runs its feed-forward network, and stays so while the others learn three answers by
// heart. To skip its attention then changes nothing, and to skip another one spoils the answers.
TEST(SearchPhase, FindsTheAttentionThatDoesNothing) {
  const test::TempFolder folder;
  const fs::path golden = test::golden("liuhaotian_llava15");
  fs::copy(golden / "checkpoint", folder / "model", fs::copy_options::recursive);
  fs::copy(golden / "vision_tower", folder / "model/vision_tower", fs::copy_options::recursive);
  zero_weights(folder / "model" / "model.safetensors",
               {"layers.2.self_attn.o_proj.weight", "layers.2.mlp.down_proj.weight"});
  Recipe first = tiny_recipe(folder);
  first.model_name_or_path = (folder / "model").string();
  first.train = {"*", "!model.vision_tower.*", "!*layers.2.*"};
  first.learning_rate = 1e-2;
  first.max_steps = 60;
  const RunResult learnt = run(first);
  EXPECT_LT(learnt.last_loss, 0.1);

  Recipe recipe = searching_recipe(folder);
  recipe.model_name_or_path = learnt.output.string();
  recipe.output_dir = (folder / "found").string();
  recipe.eval_data = recipe.data;
  recipe.learning_rate = 1e-4;
  recipe.eas->search.draws = 4;
  const SearchResult result = search(recipe, {});
  EXPECT_EQ(result.skipped, std::vector<int64_t>{2}) << scores_in(result.folder).dump(1);
}

TEST(SearchPhase, LeavesAPlanScoresAndAChart) {
  const test::TempFolder folder;
  Recipe recipe = searching_recipe(folder);
  std::vector<SearchReport> reports;
  std::vector<std::string> notes;
  RunOptions options;
  options.on_search = [&](const SearchReport& report) { reports.push_back(report); };
  options.on_note = [&](const std::string& sentence) { notes.push_back(sentence); };
  const SearchResult result = search(recipe, {}, options);
  const fs::path out = recipe.output_dir;
  EXPECT_EQ(result.folder, out);
  ASSERT_EQ(reports.size(), 6u);
  EXPECT_EQ(reports.back().comparisons, 5);  // after steps 2 to 6
  EXPECT_FALSE(reports.front().compared);
  EXPECT_TRUE(reports.back().compared);
  int64_t drawn = 0;
  for (const RankedAttention& one : result.ranking) drawn += one.drawn;
  const Json scores = scores_in(out);
  EXPECT_EQ(drawn, static_cast<int64_t>(scores.at("draws").size()));  // each skips one attention
  EXPECT_EQ(scores.at("skipped_layers").get<std::vector<int64_t>>(), result.skipped);
  const Json plan = read_json_file(out / "plan.json");
  EXPECT_EQ(plan.at("layers").size(), 1u);
  EXPECT_EQ(plan.at("layers").at(0).at("site").at("layer"), result.skipped.at(0));
  const std::string chart = read_regular_file(out / "redundancy.svg", kMostBytes);
  EXPECT_EQ(lithe::test::fault_of_markup(chart.substr(chart.find('\n'))), "");
  EXPECT_EQ(losses(out / "log.jsonl").size(), 6u);
  EXPECT_TRUE(checkpoints_in(out).empty());
  ASSERT_FALSE(notes.empty());
  EXPECT_NE(notes.front().find("1 sample "), std::string::npos) << notes.front();
  EXPECT_THROW(search(recipe, {}), Error);  // the folder holds what was found
}

// The training batch is compared on only if the recipe says so.
TEST(SearchPhase, DrawsAreComparedOnOtherSamplesThanTheyLearnFrom) {
  const test::TempFolder folder;
  Recipe recipe = searching_recipe(folder);
  recipe.eas->search.steps = 1;
  recipe.eas->search.warmup_steps = 0;
  recipe.learning_rate = 0;
  const auto compared = [&](EasSearchRecipe::EvaluateOn on, const char* name) {
    recipe.eas->search.evaluate_on = on;
    recipe.output_dir = (folder / name).string();
    search(recipe, {});
    std::vector<double> losses(2);  // of the training step, and of the same draw in the comparison
    const Json draws = scores_in(recipe.output_dir).at("draws");
    for (const Json& draw : draws)
      if (draw.at("skips") == draws.at(0).at("skips")) losses[draw.at("kind") == "train" ? 0 : 1] = draw.at("loss");
    return losses;
  };
  recipe.eas->search.draws = 4;  // every layer, so the one that was trained too
  const std::vector<double> same = compared(EasSearchRecipe::EvaluateOn::training_batch, "batch"),
                            other = compared(EasSearchRecipe::EvaluateOn::held_out, "held_out");
  EXPECT_NEAR(same[0], same[1], 1e-4 * same[0]);
  EXPECT_GT(std::abs(other[0] - other[1]), 2e-4 * other[0]);
}

TEST(SearchPhase, SavesAfterSomeTimeToo) {
  const test::TempFolder folder;
  Recipe recipe = searching_recipe(folder);
  recipe.save_steps = 100;  // more than there are
  const fs::path out = recipe.output_dir;
  std::vector<int64_t> saved;
  RunOptions options;
  options.on_checkpoint = [&](const fs::path&) { saved.push_back(checkpoints_in(out).back().step); };
  search(recipe, {.save_seconds = 0}, options);
  EXPECT_EQ(saved, (std::vector<int64_t>{1, 2, 3, 4, 5, 6}));

  recipe.output_dir = (folder / "hurried").string();
  saved.clear();
  search(recipe, {}, options);  // done within a minute
  EXPECT_TRUE(saved.empty());
}

TEST(SearchPhase, GoesOnToTheSameScores) {
  const test::TempFolder folder;
  Recipe recipe = searching_recipe(folder);
  recipe.lr_scheduler_type = LrSchedule::cosine;
  recipe.eval_data = recipe.data;
  recipe.eas->search.held_out = 2;  // of three, so that comparisons meet different ones
  run(recipe);
  const fs::path whole = recipe.output_dir;

  recipe.output_dir = (folder / "again").string();
  recipe.save_steps = 2;
  std::stop_source stop;
  RunOptions options{.stop = stop.get_token()};
  options.on_search = [&](const SearchReport& report) {
    if (report.step == 3) stop.request_stop();
  };
  const RunResult first = run(recipe, options);
  EXPECT_TRUE(first.stopped && first.searching);
  const fs::path again = recipe.output_dir;
  EXPECT_EQ(checkpoints_in(again / "search").size(), 1u);
  EXPECT_FALSE(fs::exists(again / "search/scores.json"));
  EXPECT_THROW(run(recipe), Error);  // there is a checkpoint, and nobody said to go on
  recipe.resume_from_checkpoint = "";
  EXPECT_EQ(run(recipe).steps, 3);
  EXPECT_EQ(scores_in(again / "search"), scores_in(whole / "search"));
  EXPECT_EQ(losses(again / "search/log.jsonl"), losses(whole / "search/log.jsonl"));
  EXPECT_EQ(losses(again / "log.jsonl"), losses(whole / "log.jsonl"));
}

// A run that is stopped after the search goes on with what that found.
TEST(SearchPhase, IsNotRepeatedWhenItIsDone) {
  const test::TempFolder folder;
  Recipe recipe = searching_recipe(folder);
  run(recipe);
  const std::vector<double> whole = losses(fs::path(recipe.output_dir) / "log.jsonl");
  recipe.output_dir = (folder / "again").string();
  run_until(recipe, 1);
  recipe.resume_from_checkpoint = "";
  RunOptions rest;
  rest.on_search = [](const SearchReport&) { FAIL() << "searches again"; };
  EXPECT_EQ(run(recipe, rest).steps, 3);
  EXPECT_EQ(losses(fs::path(recipe.output_dir) / "log.jsonl"), whole);
  recipe.eas->skip_count = 2;
  EXPECT_THROW(run(recipe, rest), Error);  // another search
}

/// Folds what a run left and compares.
void expect_folds(const fs::path& tuned, const fs::path& out) {
  const session::Session session = session::Session::open(tuned);
  const session::Request request = session::RequestBuilder(session).request({.prompt = "Is this a lake?"});
  const session::FoldReport report = session::fold_model(session, request, {}, out);
  EXPECT_GT(report.gains + report.adapters, 0);
  EXPECT_LT(report.largest_deviation, 1e-4 * report.largest_logit);
  EXPECT_EQ(report.tokens_equal, report.tokens);
}

TEST(SearchPhase, ARecipeSearchesTunesAndFolds) {
  const test::TempFolder folder;
  const Recipe recipe = searching_recipe(folder);
  const RunResult result = run(recipe);
  const std::vector<int64_t> skipped = scores_in(result.output / "search").at("skipped_layers");
  const session::Session tuned = session::Session::open(result.output);
  ASSERT_EQ(tuned.plan().layers.size(), 1u);
  EXPECT_EQ(tuned.plan().layers.front().layer, skipped.at(0));
  EXPECT_FALSE(tuned.plan().layers.front().self_attention);
  EXPECT_TRUE(tuned.facts().is_fixed("decoder", skipped.at(0), "self"));  // its attention is not kept
  EXPECT_NE(read_regular_file(result.output / "report.html", kMostBytes).find("Redundancy"), std::string::npos);
  expect_folds(result.output, folder / "folded");
}

TEST(SearchPhase, PModAndEasAreSearchedTunedAndFoldedInOneModel) {
  const test::TempFolder folder;
  Recipe recipe = searching_recipe(folder);
  recipe.p_mod.emplace();
  const RunResult result = run(recipe);
  const Json plan = read_json_file(result.output / "search/plan.json");
  int64_t routed = 0, off = 0;
  for (const Json& layer : plan.at("layers")) {
    routed += layer.contains("rules") && !layer.at("rules").empty() ? 1 : 0;
    off += layer.contains("attention") && layer.at("attention").dump().find("off") != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(routed, 0);
  EXPECT_EQ(off, 1);
  const session::Session tuned = session::Session::open(result.output);
  EXPECT_FALSE(tuned.facts().routers.empty());
  for (const StepRecord& record : read_step_log(result.output / "log.jsonl"))
    EXPECT_LT(record.more.at("kept_share").get<double>(), 1.0);
  expect_folds(result.output, folder / "folded");
}

// A model that was tuned with p-MoD keeps its rules under a recipe that names EAS alone.
TEST(SearchPhase, EasOnTopOfATunedPMod) {
  const test::TempFolder folder;
  Recipe first = tiny_recipe(folder);
  first.p_mod.emplace();
  const fs::path p_mod = run(first).output;
  Recipe recipe = searching_recipe(folder);
  recipe.model_name_or_path = p_mod.string();
  recipe.output_dir = (folder / "both").string();
  const session::Session tuned = session::Session::open(run(recipe).output);
  const session::Session before = session::Session::open(p_mod);
  for (const plan::LayerPlan& layer : before.plan().layers) {
    const plan::LayerPlan* const now = tuned.plan().find(layer.stream, layer.layer);
    ASSERT_NE(now, nullptr);
    EXPECT_EQ(now->rules, layer.rules);
  }
}

// A search that has to keep to a time tries a step first, on records of which some may be bad.
TEST(SearchPhase, ALimitOfTimeLeavesOutBadRecordsToo) {
  const test::TempFolder folder;
  Recipe recipe = searching_recipe(folder);
  Json records = read_json_file(recipe.data.front().path);
  records.insert(records.begin(),
                 {{"id", "bad"}, {"image", "nowhere.png"}, {"conversations", records.at(0).at("conversations")}});
  std::ofstream(folder / "data.json") << records.dump();
  recipe.data.front().images = fs::path(recipe.data.front().path).parent_path().string();
  recipe.data.front().path = (folder / "data.json").string();
  recipe.eval_data = tiny_recipe(folder).data;
  constexpr double kLongEnough = 1e9;  // so that the steps are those of the recipe
  EXPECT_THROW(search(recipe, {.seconds = kLongEnough}), Error);
  recipe.skip_bad_samples = 8;
  recipe.output_dir = (folder / "skipping").string();
  const SearchResult result = search(recipe, {.seconds = kLongEnough});
  EXPECT_EQ(result.steps, 6);
  EXPECT_EQ(result.skipped.size(), 1U);
}

std::string chart_of(const SearchResult& result) {
  return svg_of(redundancy_chart(result));
}

TEST(SearchPhase, TheChartSaysWhatIsSkipped) {
  const SearchResult result{
      .ranking = {{.layer = 3, .score = 0.4}, {.layer = 2, .score = 0.3}, {.layer = 0, .score = -0.2}},
      .skipped = {2, 3}};
  const std::string svg = chart_of(result);
  EXPECT_EQ(lithe::test::fault_of_markup(svg), "");
  const auto count = [&](const std::string& what) {
    int found = 0;
    for (std::size_t at = svg.find(what); at != std::string::npos; at = svg.find(what, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count("class=\"bar marked\""), 3) << "two bars and the legend";
  EXPECT_EQ(count("class=\"bar other\""), 2) << "one bar, as layer 1 was no candidate, and the legend";
  EXPECT_NE(svg.find(">skipped<"), std::string::npos);
  EXPECT_NE(svg.find(">layer<"), std::string::npos);
  EXPECT_NE(chart_of({.by_layer = false}).find(">attention<"), std::string::npos);
}

TEST(SearchPhase, SaysWhatMakesNoSearch) {
  const test::TempFolder folder;
  const auto fault = [&](const auto& change) {
    Recipe recipe = searching_recipe(folder);
    recipe.output_dir = (folder / "refused").string();
    change(recipe);
    try {
      search(recipe, {});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(fault([](Recipe& r) { r.eas->search.every_steps = 10; }).find("after step 10"), std::string::npos);
  EXPECT_NE(fault([](Recipe& r) { r.eas->skip_count = 99; }).find("skip 99 of"), std::string::npos);
  EXPECT_NE(fault([](Recipe& r) { r.eas.reset(); }).find("eas.skip"), std::string::npos);
}

std::vector<std::string> names_in(const std::vector<WeightedSet>& sets) {
  std::vector<std::string> names;
  for (const WeightedSet& set : sets)
    for (int64_t i = 0; i < set.records->size(); ++i) names.push_back(set.records->read(i).name);
  return names;
}

SplitSets split(int64_t first, int64_t second, int64_t wanted) {
  std::vector<WeightedSet> sets;
  sets.push_back({std::make_unique<Numbers>(0, first), 2});
  sets.push_back({std::make_unique<Numbers>(first, second), 0.5});
  return hold_out(std::move(sets), wanted, 7);
}

TEST(HeldOut, EachRecordIsInOnePart) {
  const SplitSets parts = split(100, 50, 15);
  EXPECT_EQ(names_in(parts.held_out).size(), 15u);
  EXPECT_EQ(parts.held_out.at(1).records->size(), 5);  // in proportion
  EXPECT_EQ(parts.learnt.at(0).weight, 2);
  std::vector<std::string> all = names_in(parts.learnt);
  for (const std::string& name : names_in(parts.held_out)) all.push_back(name);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
  EXPECT_EQ(all.size(), 150u);
  EXPECT_EQ(names_in(split(100, 50, 15).held_out), names_in(parts.held_out));
}

TEST(HeldOut, IsAtMostAFifthAndAtLeastOne) {
  EXPECT_EQ(names_in(split(100, 50, 1000).held_out).size(), 30u);
  EXPECT_EQ(names_in(split(2, 1, 8).held_out).size(), 1u);
  EXPECT_THROW(split(1, 1, 8), Error);
}

}  // namespace
}  // namespace lithe::tune

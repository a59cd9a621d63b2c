#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/printable.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/model_path.h"
#include "cli/number.h"
#include "cli/search_flags.h"
#include "cli/search_table.h"
#include "cli/standard_output.h"
#include "io/hub_cache.h"
#include "tune/launch.h"
#include "tune/run.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSteps = 300;          // if neither --steps nor --budget is given
constexpr int64_t kManySteps = 1 << 20;  // with --budget, which then decides
constexpr int64_t kEverySteps = 10, kFewestComparisons = 5;

constexpr const char* kSearchDescription =
    R"(Finds a plan that skips what a task does not need. There are two searches.

--budget SHARE: the plan that loses least and costs at most this share of the dense model. Nothing is trained. A layer may
skip some vision tokens, or run only a part of itself for them, or leave out its attention or its feed-forward network. Each
of these moves is tried alone on --samples records: by how much does the nll (mean negative log-likelihood per token) of the
right answers rise? If costs and losses added up, the best combination would be known. The search tries the combinations
that should be best, corrects the losses of their moves by what they really lose, and chooses again. --metric says what is
counted: operations of prefill (flops), their predicted time on this machine (time), or bytes of keys and values (kv). Other
records of the data, or those of --eval-data, check the result. DIR gets plan.json (the plan within the budget), plans/ (the
best plan for each cost), search.json, search.svg (a chart) and measured.jsonl. After Ctrl-C, the same command continues.
Another --budget or --metric with the same -o uses what was measured.

--skip K: the decoder layers whose attention the task does not need (EAS), and a plan that skips K of them. Every attention
gets an adapter that can take its place (PIA), and one before it (RepAdapter). In each step, K attentions are drawn at random
and skipped, and the adapters learn, from 8 samples at a learning rate of 1e-4. In the second half of the steps, after every
10th step (of a short search: more often), 3 draws are compared on 32 held-out samples. These come from --eval-data, else from
a part of --data that is kept out of training. Draws with a low loss raise the scores of the attentions that they skip. In the
end, the plan skips the attentions with the highest scores.

The model itself does not change, and the adapters are not kept: `lithe tune` with `eas: {skip: [..]}` trains new ones for the
layers that were found. A recipe can also search and tune in one run, and has a key for each of these numbers
(`lithe help recipe`).

With --skip, DIR gets plan.json, scores.json (the ranking, and each draw with its loss), redundancy.svg (a chart) and log.jsonl
(a line per step). Ctrl-C ends the search after the current step, with a checkpoint in DIR; the same command then continues it.
After a kill, it continues from the last checkpoint: there is one every 100 steps, and every minute.

Several processes that torchrun, mpirun or srun starts search together (docs/many-machines.md).)";

constexpr const char* kSearchFooter = R"(Examples:
  lithe search demo-dense --data train.json --budget 0.5 --samples 2 -o half
  lithe search demo-dense --data train.json --skip 2 --steps 4
  lithe search demo --data train.json --eval-data train.json --skip 3 --steps 4 -o found
  lithe search demo-dense --task mme --data tests/data/benchmarks/mme --budget 0.5 --samples 2 -o half-mme

Exit codes: 0 done, 130 interrupted, 2 impossible request, 3 bad file, 1 anything else.)";

tune::Recipe recipe_of(const SearchFlags& flags) {
  tune::Recipe recipe;
  recipe.file = "lithe search";
  recipe.model_name_or_path = flags.model;
  recipe.output_dir = flags.out;
  recipe.data = {searched_data(flags)};
  if (const tune::DataSet checking = checking_data(flags); !checking.path.empty()) recipe.eval_data = {checking};
  recipe.seed = static_cast<int64_t>(flags.common.seed);
  recipe.learning_rate = 1e-4;
  recipe.lr_scheduler_type = tune::LrSchedule::constant;
  recipe.save_steps = 100;
  recipe.resume_from_checkpoint = "";
  tune::EasRecipe& eas = recipe.eas.emplace();
  eas.skip_count = *flags.skip;
  const int64_t steps = flags.steps.value_or(flags.budget ? kManySteps : kSteps);
  eas.search.steps = steps;
  eas.search.every_steps = std::clamp<int64_t>(steps / 2 / kFewestComparisons, 1, kEverySteps);
  return recipe;
}

Json to_json(const SearchFlags& flags, const tune::SearchResult& result) {
  Json ranking = Json::array();
  for (const tune::RankedAttention& one : result.ranking)
    ranking.push_back({{"layer", one.layer},
                       {"score", one.score},
                       {"probability", one.probability},
                       {"drawn", one.drawn},
                       {"skipped", one.skipped}});
  Json json{{"schema", "lithe-search/1"}, {"model", io::name_of_folder(model_folder(flags.model))},
            {"steps", result.steps},      {"comparisons", result.comparisons},
            {"stopped", result.stopped},  {"ranking", ranking}};
  if (result.stopped) return json;
  json["skipped_layers"] = result.skipped;
  json["output"] = result.folder.string();
  return json;
}

std::string to_text(const tune::SearchResult& result) {
  std::string text = ranking_text(result.ranking);
  if (result.stopped)
    return text + fmt::format("stopped after step {}; the same command goes on from there\n", result.steps);
  std::string layers;
  for (const int64_t layer : result.skipped) layers += fmt::format("{}{}", layers.empty() ? "" : ", ", layer);
  return text + fmt::format("wrote {} after {} steps\nto tune with this list: eas: {{skip: [{}]}}\n",
                            printable((result.folder / "plan.json").string()), result.steps, layers);
}

/// A search as it is watched.
class SearchCommand {
 public:
  explicit SearchCommand(const SearchFlags& flags) : flags_(flags) {}

  int run() {
    const tune::Recipe recipe = recipe_of(flags_);
    const tune::SearchOptions search{.plan = flags_.plan,
                                     .seconds = flags_.budget ? std::optional(60 * *flags_.budget) : std::nullopt};
    const tune::SearchResult result = tune::search(recipe, search, options());
    live_.wipe();
    if (rank_ == 0 && flags_.common.json) write_json(to_json(flags_, result));
    if (rank_ == 0 && !flags_.common.json) write_out(to_text(result));
    return result.stopped ? kExitInterrupted : 0;
  }

 private:
  tune::RunOptions options() {
    tune::RunOptions options{.stop = interrupt_.token()};
    options.on_note = [this](const std::string& sentence) {
      live_.wipe();
      const std::string who = rank_ > 0 ? fmt::format("rank {}: ", rank_) : "";
      write_err(fmt::format("note: {}{}\n", who, printable(sentence, kMostSentenceBytes)));
    };
    options.on_search = [this](const tune::SearchReport& report) {
      interrupt_.poll();
      if (rank_ == 0) tell(report);
    };
    return options;
  }

  /// A table on a terminal; elsewhere a line whenever the ranking has changed.
  void tell(const tune::SearchReport& report) {
    if (!live_.is_seen()) {
      if (report.compared && !flags_.common.json) write_out(line_of(report));
      return;
    }
    if (!live_.is_due() && report.step < report.steps) return;
    live_.show("searching: " + progress_text(report) + "\n" + ranking_text(report.ranking));
  }

  const SearchFlags& flags_;
  const int64_t rank_ = tune::read_launch().rank;  // of several processes, the first one is watched
  InterruptGuard interrupt_;
  LiveText live_;
};

/// Flags that searching does not have; not in the help, taken only to say why they are refused.
constexpr std::pair<const char*, const char*> kNotHere[] = {
    {"--weights", "search keeps the types of the weights; leave out --weights."},
    {"--lora", "search does not take a LoRA; merge it into the model with `lithe fold` first."},
    {"--device", "search runs on the CPU; leave out --device."},
    {"--mmproj", "search does not take GGUF models; leave out --mmproj."},
};

void declare_numbers(CLI::App& app, SearchFlags& flags) {
  add_count(
      app, flags.skip,
      {.names = "--skip", .what = "Search for redundant attentions: how many to skip", .lowest = 1, .highest = 4096});
  add_count(app, flags.steps,
            {.names = "--steps",
             .what = "With --skip: training steps (default: 300; with --budget, as many as fit)",
             .lowest = 2,
             .highest = kManySteps});
  add_decimal(app, flags.budget,
              {.names = "--budget",
               .what = "The share of dense's cost that the plan may have, such as 0.25. With --skip: the minutes that "
                       "the search may take; a step is timed first, to plan how many fit",
               .lowest = 0,
               .highest = 1e6,
               .above_lowest = true,
               .type_name = "SHARE|MINUTES"});
  app.add_option("--metric", flags.metric,
                 "What the budget is a share of: operations of prefill, their time on this machine, or bytes of keys "
                 "and values (default: flops)")
      ->type_name("flops|time|kv");
  add_count(app, flags.samples,
            {.names = "--samples",
             .what = "Without --skip: records that plans are tried on (default: 100)",
             .lowest = 1,
             .highest = 100'000});
}

void declare_data(CLI::App& app, SearchFlags& flags) {
  app.add_option("--data", flags.data,
                 "The records that plans are tried on, or that the adapters learn from: a file, a folder or a "
                 "pattern, as in a recipe; with --task the folder of a benchmark")
      ->type_name("FILE")
      ->required();
  app.add_option("--eval-data", flags.eval_data,
                 "The records that check the plan, or on which draws are compared (default: a part of --data)")
      ->type_name("FILE");
  app.add_option("--task", flags.task, "The benchmark whose folder --data is, as for `lithe eval`")->type_name("NAME");
  app.add_option("--split", flags.split, "With --task: which part of the benchmark (default: the task's)")
      ->type_name("NAME");
  app.add_option("--eval-split", flags.eval_split,
                 "With --task: the part that checks the plan, or on which draws are compared (default: as --eval-data)")
      ->type_name("NAME");
}

}  // namespace

tune::DataSet searched_data(const SearchFlags& flags) {
  require(!flags.task.empty() || (flags.split.empty() && flags.eval_split.empty()), Fault::bad_request,
          "--split and --eval-split are parts of a benchmark; name it with --task.");
  tune::DataSet set{.path = flags.data};
  set.task = flags.task;
  set.split = flags.split;
  return set;
}

tune::DataSet checking_data(const SearchFlags& flags) {
  tune::DataSet set = searched_data(flags);
  set.path = !flags.eval_data.empty() || flags.eval_split.empty() ? flags.eval_data : flags.data;
  if (!flags.eval_split.empty()) set.split = flags.eval_split;
  return set;
}

Action declare_search(CLI::App& app) {
  const auto flags = std::make_shared<SearchFlags>();
  app.description(kSearchDescription);
  app.footer(kSearchFooter);
  app.add_option("MODEL", flags->model, "Model folder, hub name or demo model")->required();
  declare_data(app, *flags);
  declare_numbers(app, *flags);
  app.add_option(
         "--plan", flags->plan,
         "The plan that the search begins with, a name or a file (default: the model's own). With --skip its rules "
         "stay")
      ->type_name("PLAN");
  app.add_option("-o,--output", flags->out, "The folder to write (default: search)")->type_name("DIR");
  add_json(app, flags->common, "Print JSON: the plans, or the ranking and what is skipped");
  add_common(app, flags->common);
  for (const auto& [flag, reason] : kNotHere) app.get_option(flag)->group("");
  return [flags, &app] {
    for (const auto& [flag, reason] : kNotHere) require(app.get_option(flag)->count() == 0, Fault::bad_request, reason);
    require(!flags->out.empty(), Fault::bad_request, "--output is empty; name a folder.");
    require(flags->skip || flags->budget, Fault::bad_request,
            "Say what to search: --skip K for redundant attentions, or --budget SHARE for a plan.");
    apply(flags->common);
    if (!flags->skip) return search_budget(*flags);
    require(!flags->metric && !flags->samples, Fault::bad_request,
            "--metric and --samples are for the search for a plan; leave them out, or leave --skip out.");
    return SearchCommand(*flags).run();
  };
}

}  // namespace lithe::cli

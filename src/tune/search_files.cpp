#include "tune/search_files.h"

#include <algorithm>
#include <limits>
#include <string>

#include "base/error.h"
#include "io/atomic_file.h"
#include "plan/parse.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;

constexpr const char* kScores = "scores.json";

RankedAttention ranked_of(const JsonView& view) {
  return {view.integer("number", view.integer("layer")), view.number("score"), view.number("probability"),
          view.integer("drawn"), view.boolean("skipped", false)};
}

}  // namespace

BarChart redundancy_chart(const SearchResult& result) {
  BarChart chart{.title = "Redundancy of attentions",
                 .x_label = result.by_layer ? "layer" : "attention",
                 .y_label = "score (higher: less needed)",
                 .marked_name = "skipped",
                 .other_name = "kept"};
  for (const RankedAttention& one : result.ranking) {
    const auto at = static_cast<size_t>(one.layer);
    // An attention that was not a candidate has no score, and its bar is left out.
    for (size_t i = chart.bars.size(); i <= at; ++i)
      chart.bars.push_back({.label = std::to_string(i), .value = std::numeric_limits<double>::quiet_NaN()});
    const bool skips = std::find(result.skipped.begin(), result.skipped.end(), one.layer) != result.skipped.end();
    chart.bars[at] = {.label = std::to_string(at), .value = one.score, .marked = skips};
  }
  return chart;
}

fs::path position_file(const fs::path& checkpoint) {
  return checkpoint / "search_state.json";
}

SearchPosition read_position(const fs::path& checkpoint) {
  const std::string source = position_file(checkpoint).string();
  const Json json = read_json_file(source);
  const JsonView view(json, source);
  return {view.integer("steps"), view.integer("held_out_taken"), view.integer("held_out_skipped"),
          view.number("seconds"), view.object("search").json()};
}

void write_position(const fs::path& checkpoint, const SearchPosition& position) {
  io::write_json_atomic(position_file(checkpoint), {{"steps", position.steps},
                                                    {"held_out_taken", position.held_out_taken},
                                                    {"held_out_skipped", position.held_out_skipped},
                                                    {"seconds", position.seconds},
                                                    {"search", position.search}});
}

bool is_search_checkpoint(const fs::path& folder) {
  return fs::exists(position_file(folder));
}

void write_found(const fs::path& folder, const SearchResult& result, const Search& search) {
  Json report = search.report();
  report["skipped_layers"] = result.skipped;
  io::write_json_atomic(folder / "plan.json", plan::to_json(search.plan()));
  io::write_text_atomic(folder / "redundancy.svg", svg_file(svg_of(redundancy_chart(result))));
  io::write_json_atomic(folder / kScores, report);
}

void forget_found(const fs::path& folder) {
  fs::remove(folder / kScores);
}

std::optional<SearchResult> finished_search(const Recipe& recipe, const fs::path& folder) {
  const fs::path file = folder / kScores;
  if (!fs::exists(file)) return std::nullopt;
  const Json json = read_json_file(file);
  const JsonView view(json, file.string());
  SearchResult result{.steps = view.integer("steps"), .comparisons = view.integer("comparisons"), .folder = folder};
  for (const char* key : {"ranking", "skipped_layers"})
    require(view.has(key) && json.at(key).is_array(), Fault::bad_file, file.string(), ": '", key, "' is not a list");
  int64_t found = 0;
  for (const Json& one : json.at("ranking")) {
    const JsonView attention(one, file.string());
    result.ranking.push_back(ranked_of(attention));
    const int64_t layer = result.ranking.back().layer;
    result.by_layer = result.by_layer && layer == attention.integer("layer");
    require(layer >= 0 && layer < plan::kMaxLayers, Fault::bad_file, file.string(), ": there is no layer ", layer);
    found += result.ranking.back().skipped ? 1 : 0;
  }
  for (const Json& layer : json.at("skipped_layers")) {
    require(layer.is_number_integer(), Fault::bad_file, file.string(), ": 'skipped_layers' are not numbers of layers");
    result.skipped.push_back(layer.get<int64_t>());
  }
  require(found == *recipe.eas->skip_count && !result.skipped.empty(), Fault::bad_file, file.string(),
          ": this search skipped ", found, " attentions, and the recipe skips ", *recipe.eas->skip_count,
          "; name another output_dir, or remove this folder");
  return result;
}

}  // namespace lithe::tune

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <memory>
#include <vector>

#include "base/printable.h"
#include "cli/answer_report.h"
#include "cli/bench_report.h"
#include "cli/command.h"
#include "cli/heat_maps.h"
#include "cli/model_path.h"
#include "cli/number.h"
#include "cli/options.h"
#include "cli/outputs.h"
#include "cli/progress.h"
#include "cli/standard_output.h"
#include "cli/statistics.h"
#include "session/kept_per_layer.h"
#include "session/request.h"

namespace lithe::cli {
namespace {

constexpr const char* kDemoDescription =
    R"(Shows what skipping does. Two small shipped models, one dense and one with p-MoD layers, answer questions about a picture.

lithe prints the answers and times of both models, the vision tokens that each layer keeps, and the size of the KV caches. It
writes a heat map of the kept patches. Such a small model saves little time. So lithe then makes the same comparison at the
width of LLaVA-1.5-7B, with two layers of random weights. Ctrl-C ends this comparison; the answers are printed before it.)";

constexpr const char* kDemoFooter = R"(Examples:
  lithe demo
  lithe demo --no-wide --heat-map kept.png
  lithe demo --image models/images/506.png --no-wide

Exit codes: 0 done, 130 interrupted, 2 impossible request, 3 bad file, 1 anything else.)";

constexpr const char* kQuestions[] = {"what shape is in the image?", "what is the color of the rectangle?",
                                      "is there a blue shape?", "is there a triangle?"};
constexpr int kRepeats = 5;

struct DemoOptions {
  CommonOptions common;
  std::string image;
  std::string heat_map = "lithe-demo.png";
  bool no_wide = false;
  int64_t rounds = 3;
};

/// One question, asked of both models in turn.
struct Asked {
  std::string question;
  session::Answer dense, skipped;            ///< Of the last repeat.
  std::vector<double> dense_ms, skipped_ms;  ///< Image to last token, one per repeat.
};

double total_ms(const session::Answer& answer) {
  return answer.timings.image_ms + answer.timings.prefill_ms + answer.timings.decode_ms;
}

session::Question about(const std::string& image, const char* question) {
  return {.prompt = question, .pictures = {std::filesystem::path(image)}};
}

std::vector<Asked> ask_all(session::Session& dense, session::Session& skipped, const std::string& image) {
  Progress progress("asking");
  std::vector<Asked> all;
  for (const char* question : kQuestions) {
    progress.show(question);
    Asked asked{.question = question};
    const session::Question to_both = about(image, question);
    const session::Request to_dense = session::RequestBuilder(dense).request(to_both);
    const session::Request to_skipped = session::RequestBuilder(skipped).request(to_both);
    for (int i = 0; i < kRepeats; ++i) {
      asked.dense = dense.answer(to_dense, {.max_new_tokens = 16});
      asked.dense_ms.push_back(total_ms(asked.dense));
      asked.skipped = skipped.answer(to_skipped, {.max_new_tokens = 16});
      asked.skipped_ms.push_back(total_ms(asked.skipped));
    }
    all.push_back(std::move(asked));
  }
  return all;
}

TextTable answer_table(const std::vector<Asked>& all) {
  TextTable table{{"question", "dense", "p-MoD", "dense ms", "p-MoD ms"}, {}};
  for (const Asked& asked : all) {
    table.rows.push_back({asked.question, printable(asked.dense.text), printable(asked.skipped.text),
                          fmt::format("{:.1f}", median(asked.dense_ms)),
                          fmt::format("{:.1f}", median(asked.skipped_ms))});
  }
  return table;
}

double percent(int64_t part, int64_t whole) {
  return whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 100.0;
}

std::string small_text(const std::vector<Asked>& all, const std::string& image) {
  const session::Answer& dense = all.front().dense;
  const session::Answer& skipped = all.front().skipped;
  std::string text =
      fmt::format("Picture {}, {} questions. Times are medians of {} runs; the two models run in turn.\n\n{}\n",
                  printable(image), all.size(), kRepeats, answer_table(all).markdown());
  text +=
      fmt::format("Vision tokens kept in each layer (of {}):\n  dense  {}\n  p-MoD  {}\n", skipped.timings.vision_rows,
                  fmt::join(session::kept_per_layer(dense), " "), fmt::join(session::kept_per_layer(skipped), " "));
  text += fmt::format("KV cache after prefill: dense {}, p-MoD {} ({:.1f} %)\n",
                      bytes_text(dense.cache.bytes_after_prefill), bytes_text(skipped.cache.bytes_after_prefill),
                      percent(skipped.cache.bytes_after_prefill, dense.cache.bytes_after_prefill));
  double dense_ms = 0, skipped_ms = 0;
  for (const Asked& asked : all) {
    dense_ms += median(asked.dense_ms);
    skipped_ms += median(asked.skipped_ms);
  }
  if (skipped_ms > dense_ms) {
    text += fmt::format("On this small model p-MoD is slower: {:.1f} ms for all questions, dense {:.1f} ms.\n",
                        skipped_ms, dense_ms);
  }
  return text;
}

Json small_json(const std::vector<Asked>& all) {
  Json list = Json::array();
  for (const Asked& asked : all) {
    list.push_back({{"question", asked.question},
                    {"dense", to_json(asked.dense)},
                    {"p_mod", to_json(asked.skipped)},
                    {"dense_median_ms", median(asked.dense_ms)},
                    {"p_mod_median_ms", median(asked.skipped_ms)}});
  }
  return list;
}

Comparison compare_wide(const DemoOptions& options) {
  Progress progress("7B width");
  progress.show("making random weights");
  const session::Session session = session::random_session(
      {.shape = "llava-1.5-7b", .weights = options.common.weights, .seed = options.common.seed});
  const CompareOptions how{.rounds = options.rounds, .tiles = 0, .on_progress = [&progress](const std::string& state) {
                             progress.show(state);
                           }};
  return compare(session, session.plan(), {.seed = options.common.seed}, how);
}

/// Measured: 65 seconds of one core for three rounds, and the weights.
std::string announcement(const DemoOptions& options) {
  const int64_t seconds = (20 + 15 * options.rounds) / std::max<int64_t>(1, threads_of(options.common));
  return fmt::format(
      "\nNow the same comparison at 7B width: about {} s on {} cores, longer if they are busy. Ctrl-C ends it.\n",
      std::max<int64_t>(1, seconds), threads_of(options.common));
}

std::string wide_text(const Comparison& wide) {
  TextTable table{{"7B width, 2 layers", "dense ms", wide.plan + " ms", "ratio", "counted", "A/A spread"}, {}};
  for (const Phase* phase : {&wide.prefill, &wide.decode}) {
    const bool prefill = phase == &wide.prefill;
    table.rows.push_back({fmt::format("{} {} tokens", prefill ? "prefill" : "decode", phase->rows),
                          fmt::format("{:.0f}", median(phase->reference)),
                          fmt::format("{:.0f}", median(phase->skipped)), fmt::format("{:.3f}", phase->median_ratio()),
                          fmt::format("{:.3f}", phase->counted_share),
                          fmt::format("{:.1f} %", 100 * phase->equal_spread())});
  }
  return fmt::format(
      "\n{}\nKV cache after prefill: dense {}, {} {} ({:.1f} %). Each layer caches as many tokens as counted.\n{}",
      table.markdown(), bytes_text(wide.reference_kv_bytes), wide.plan, bytes_text(wide.plan_kv_bytes),
      percent(wide.plan_kv_bytes, wide.reference_kv_bytes), slower_lines({wide}));
}

int run(const DemoOptions& options) {
  check_outputs({options.heat_map}, {demo_folder(), options.image});
  session::Session dense = open_session("demo-dense", options.common);
  session::Session skipped = open_session("demo", options.common);
  const std::string image = options.image.empty() ? (demo_folder() / "images" / "901.png").string() : options.image;
  const session::Request first = session::RequestBuilder(skipped).request(about(image, kQuestions[0]));
  check_heat_map(first, skipped);
  const std::vector<Asked> all = ask_all(dense, skipped, image);
  const std::vector<std::string> maps =
      write_heat_maps(options.heat_map, all.front().skipped, caption_of(skipped, first, kQuestions[0]));
  if (!options.common.json) {
    std::string text = small_text(all, image);
    for (const std::string& file : maps) text += "Heat map of the kept patches: " + printable(file) + "\n";
    write_out(text);
  }
  Json json = {{"schema", "lithe-demo/1"}, {"image", image}, {"heat_maps", maps}, {"questions", small_json(all)}};
  if (!options.no_wide) {
    if (!options.common.json) write_out(announcement(options));
    const Comparison wide = compare_wide(options);
    if (!options.common.json) write_out(wide_text(wide));
    json["wide"] = report_json({.model = "llava-1.5-7b, 2 layers", .threads = threads_of(options.common)}, {wide});
  }
  if (options.common.json) write_json(json);
  return 0;
}

}  // namespace

Action declare_demo(CLI::App& app) {
  const auto options = std::make_shared<DemoOptions>();
  app.description(kDemoDescription);
  app.footer(kDemoFooter);
  app.add_option("--image", options->image, "A picture of your own")->type_name("FILE");
  app.add_option("--heat-map", options->heat_map, "The file of the heat map (default: lithe-demo.png)")
      ->type_name("FILE");
  app.add_flag("--no-wide", options->no_wide, "Leave out the comparison at 7B width");
  add_count(app, options->rounds,
            {.names = "--rounds", .what = "Rounds of the comparison at 7B width (default: 3)", .lowest = 1});
  add_json(app, options->common, "Print JSON instead of tables");
  add_common(app, options->common);
  return [options] { return run(*options); };
}

}  // namespace lithe::cli

#include "session/bench.h"

#include <fmt/format.h>
#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "base/vector_set.h"
#include "cli/answer_report.h"
#include "cli/bench_report.h"
#include "cli/command.h"
#include "cli/machine.h"
#include "cli/number.h"
#include "cli/options.h"
#include "cli/parameters.h"
#include "cli/progress.h"
#include "cli/prompt_shape.h"
#include "cli/standard_output.h"
#include "plan/parse.h"
#include "session/threads.h"

namespace lithe::cli {
namespace {

constexpr const char* kBenchDescription =
    R"(Measures the time of image encode, prefill and decode, under the plan and dense.

The tests are called pp (prefill) or tg (decode), followed by the number of tokens. Each round runs dense, the plan, and
dense again. The two dense runs differ only by chance. This difference is the A/A spread; a smaller difference between dense
and the plan means nothing. The prompt is random. In every round, lithe checks that each layer's KV cache holds as many tokens
as the plan counts.

`operations` is the plan's share of the dense operations. `bytes read` is its share of the bytes that decoding reads
(weights, keys, values). `measured / counted` is the median ratio divided by the larger of the two shares.
--no-prefill fills the cache with made-up values, so a long prompt need not be computed before decoding.
--against feed-forward is for plans without attention. It compares them with the bare feed-forward networks and norms. The
difference is the cost of the engine itself.
--dense-model is for models that can't run dense themselves, since some attentions were replaced by adapters (EAS).
--batch-sizes runs several prompts at a time, as `lithe batch` does.
--shape uses random weights and as few layers as you like. Its default plan is p-mod. With --layers N, the N layers have the
rules of N evenly spaced layers of the full model.
The shapes are llava-1.5-7b, llava-1.5-13b and llava-next-7b.)";

constexpr const char* kBenchFooter = R"(Examples:
  lithe bench demo --rounds 3
  lithe bench --shape llava-1.5-7b --layers 2 --vision-tokens 576
  lithe bench --shape llava-next-7b --layers 2 --vision-tokens 2880 -o json
  lithe bench --shape llava-1.5-7b --layers 2 --batch-sizes 1,4,16 --rounds 3

Exit codes: 0 done, 130 interrupted, 2 impossible request, 3 bad file, 1 anything else.)";

struct BenchOptions {
  CommonOptions common;
  std::optional<std::string> model, shape, plan, dense_model;
  int64_t layers = 2, tower_layers = 2;
  PromptShapeOptions prompt;
  std::vector<int64_t> batch_sizes{1};
  bool no_prefill = false;
  std::string against = "dense";
  CompareOptions compare;
  std::string output = "md";
};

session::Session open_subject(const BenchOptions& options) {
  if (options.model) return open_session(*options.model, options.common);
  refuse_over_shape(options.common);
  apply(options.common);
  Progress progress("making random weights");
  progress.show(*options.shape);
  return session::random_session({.shape = *options.shape,
                                  .layers = options.layers,
                                  .tower_layers = options.tower_layers,
                                  .weights = options.common.weights,
                                  .kv = options.common.kv,
                                  .compute = options.common.compute,
                                  .device = options.common.device,
                                  .seed = options.common.seed});
}

std::string label_of(const BenchOptions& options, const session::Session& session) {
  if (!options.shape) return printable(session.facts().name);
  const int64_t layers = session.facts().layers;
  return fmt::format("{}, {} layer{}", *options.shape, layers, layers == 1 ? "" : "s");
}

void check(const BenchOptions& options) {
  require(options.model.has_value() != options.shape.has_value(), Fault::bad_request,
          "bench needs a MODEL or --shape NAME, and not both.");
  require(options.output == "md" || options.output == "csv" || options.output == "json", Fault::bad_request,
          "--output is ", in_quotes(options.output), "; give md, csv or json.");
  require(options.against == "dense" || options.against == "feed-forward", Fault::bad_request, "--against is ",
          in_quotes(options.against), "; give dense or feed-forward.");
  require(!options.dense_model || (options.model && options.against == "dense"), Fault::bad_request,
          "--dense-model is for a MODEL that is compared with dense.");
}

void print(const std::string& format, const BenchSubject& subject, const std::vector<Comparison>& results,
           double load_before) {
  const double load_after = load_average();
  const Comparison& first = results.front();
  if (format == "csv") {
    write_out(flat_table(subject, results).csv());
  } else if (format == "json") {
    write_json({{"schema", "lithe-bench/1"},
                {"model", subject.model},
                {"plan", first.plan},
                {"reference", first.reference},
                {"device", subject.device},
                {"processor", processor_name()},
                {"vector_set", name_of(vector_set())},
                {"load_before", load_before},
                {"load_after", load_after},
                {"reference_kv_bytes", first.reference_kv_bytes},
                {"plan_kv_bytes", first.plan_kv_bytes},
                {"tests", report_json(subject, results)}});
  } else {
    const std::string plan = printable(first.plan);
    std::string text = speed_table(subject, results).markdown() + "\n";
    text += fmt::format("{} compared with {}:\n\n{}\n", plan, first.reference, ratio_table(results).markdown());
    text += fmt::format(
        "KV cache of a sequence after prefill: {} {}, {} {}. Each layer caches as many tokens as counted.\n{}"
        "Machine: {}{}, vector set {}, {} threads, load {:.2f} before and {:.2f} after.\n",
        first.reference, bytes_text(first.reference_kv_bytes), plan, bytes_text(first.plan_kv_bytes),
        slower_lines(results), subject.device == "cpu" ? "" : printable(subject.device) + ", ",
        printable(processor_name()), name_of(vector_set()), subject.threads, load_before, load_after);
    write_out(text);
  }
}

int run(BenchOptions options) {
  if (options.common.json) options.output = "json";
  check(options);
  const double load_before = load_average();
  const session::Session session = open_subject(options);
  std::optional<session::Session> dense_model;
  if (options.dense_model) dense_model = open_session(*options.dense_model, options.common);
  const plan::ModelFacts& facts = session.facts();
  const plan::Plan plan = options.plan ? plan::load_plan(*options.plan, facts) : session.plan();
  const plan::PromptShape shape = prompt_shape(options.prompt, facts);
  session::BenchPrompt prompt{.vision_tokens = shape.vision_tokens,
                              .high_res_tokens = shape.high_res_tokens,
                              .text_tokens = shape.text_tokens,
                              .seed = options.common.seed};
  options.compare.tiles = options.no_prefill ? 0 : shape.tiles;
  options.compare.prefills = !options.no_prefill;
  if (options.against == "feed-forward") options.compare.reference = Reference::feed_forward;
  if (dense_model) options.compare.dense_model = &*dense_model;
  std::vector<Comparison> results;
  {
    Progress progress("timing");
    for (const int64_t size : options.batch_sizes) {
      prompt.sequences = size;
      options.compare.on_progress = [&](const std::string& state) {
        progress.show(options.batch_sizes.size() == 1 ? state : fmt::format("batch of {}, {}", size, state));
      };
      results.push_back(compare(session, plan, prompt, options.compare));
      options.compare.tiles = 0;
    }
  }
  const BenchSubject subject{.model = label_of(options, session),
                             .device = session::device_name(options.common.device),
                             .weight_bytes = session.weight_bytes(),
                             .parameters = count_parameters(facts, plan::Plan{}).total(),
                             .threads = threads_of(options.common),
                             .tiles = shape.tiles,
                             .tile_px = facts.tower ? facts.tower->image : 0};
  print(options.output, subject, results, load_before);
  return 0;
}

/// "1,4,16"
std::vector<int64_t> sizes_of(const std::string& text) {
  std::vector<int64_t> sizes;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    sizes.push_back(whole_number(text.substr(begin, end - begin), "--batch-sizes", int64_t{1}, kMostCount));
    begin = end + 1;
  }
  return sizes;
}

void add_rounds(CLI::App& app, BenchOptions& options) {
  app.add_option_function<std::string>(
         "--batch-sizes", [&options](const std::string& text) { options.batch_sizes = sizes_of(text); },
         "Prompts that run at a time; several numbers are measured one after another (default: 1)")
      ->type_name("N,..");
  add_count(app, options.compare.rounds, {.names = "-r,--rounds", .what = "Measured rounds (default: 9)", .lowest = 1});
  add_count(app, options.compare.warm_up,
            {.names = "--warm-up", .what = "Rounds before them, which are not measured (default: 1)"});
  app.add_option("--against", options.against, "What the plan is compared with: dense (default) or feed-forward")
      ->type_name("WHAT");
  app.add_option("--dense-model", options.dense_model,
                 "Run dense with this model, such as the one that MODEL was tuned from")
      ->type_name("MODEL");
  app.add_flag("--no-prefill", options.no_prefill, "Measure only decoding, with a made-up cache");
  add_count(app, options.compare.decode_steps,
            {.names = "--decode-tokens", .what = "New tokens of a decode run (default: 8)", .lowest = 1});
}

}  // namespace

Action declare_bench(CLI::App& app) {
  const auto options = std::make_shared<BenchOptions>();
  app.description(kBenchDescription);
  app.footer(kBenchFooter);
  app.add_option("MODEL", options->model,
                 "Model folder, GGUF file, name in the Hugging Face cache, demo, or demo-dense");
  app.add_option("--shape", options->shape, "A published shape with random weights")->type_name("NAME");
  add_count(app, options->layers,
            {.names = "--layers",
             .what = "Decoder layers of the shape (default: 2)",
             .lowest = 1,
             .highest = plan::kMaxLayers});
  add_count(app, options->tower_layers,
            {.names = "--tower-layers",
             .what = "Vision tower layers of the shape (default: 2)",
             .lowest = 1,
             .highest = plan::kMaxLayers});
  app.add_option(
         "--plan", options->plan,
         "Skip plan: the name of a built-in plan, or a JSON file (default: the model's own; with --shape, p-mod)")
      ->type_name("NAME|FILE");
  add_prompt_shape(app, options->prompt);
  add_rounds(app, *options);
  app.add_option("-o,--output", options->output, "md (default), csv or json")->type_name("FORMAT");
  add_json(app, options->common, "The same as --output json");
  add_common(app, options->common);
  add_kv(app, options->common);
  add_compute(app, options->common);
  return [options] { return run(*options); };
}

}  // namespace lithe::cli

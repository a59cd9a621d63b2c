#include "session/bench.h"

#include <fmt/format.h>
#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/vector_set.h"
#include "cli/answer_report.h"
#include "cli/bench_report.h"
#include "cli/command.h"
#include "cli/machine.h"
#include "cli/options.h"
#include "cli/parameters.h"
#include "cli/progress.h"
#include "plan/parse.h"

namespace lithe::cli {
namespace {

constexpr const char* kDescription =
    R"(Times image encode, prefill (ppROWS) and decode (tgTOKENS), dense beside the plan.

Every round takes dense, the plan, and dense again, one after another; the difference of the two dense runs (the A/A
spread) says what a difference means on this machine. The prompt is made of random rows. Before anything is reported, the
rows that each layer's KV cache holds are compared with the rows that the plan counts.
`operations` is the share of dense operations that the plan leaves, `bytes read` the same of what decoding reads (the
weights that run, keys and values); `measured / counted` says how near the clock comes to the larger of the two.
--no-prefill decodes behind a made-up cache of as many rows as the plan counts, which saves the prefill of long prompts.
--against feed-forward times a plan without attentions beside the feed-forward networks and norms alone, called one after
another: what is left between them is what the engine costs.
--batch-sizes runs several prompts at a time, each of its own rows, as `lithe batch` does.
With --shape the weights are random: llava-1.5-7b, llava-1.5-13b, llava-next-7b, as few layers as you like.)";

constexpr const char* kFooter = R"(Examples:
  lithe bench demo --rounds 3
  lithe bench --shape llava-1.5-7b --layers 2 --vision-tokens 576
  lithe bench --shape llava-next-7b --layers 2 --vision-tokens 2880 -o json
  lithe bench --shape llava-1.5-7b --layers 2 --batch-sizes 1,4,16 --rounds 3

Exit codes: 0 done, 2 impossible request, 3 bad file, 1 anything else.)";

struct BenchOptions {
  CommonOptions common;
  std::optional<std::string> model, shape, plan;
  int64_t layers = 2, tower_layers = 2;
  std::optional<int64_t> vision_tokens, high_res_tokens;
  int64_t text_tokens = 40;
  std::vector<int64_t> batch_sizes{1};
  bool no_prefill = false;
  std::string against = "dense";
  CompareOptions compare;
  std::string output = "md";
};

session::Session open_subject(const BenchOptions& options) {
  if (options.model) return open_session(*options.model, options.common);
  refuse_lora_over_shape(options.common);
  apply(options.common);
  Progress progress("making random weights");
  progress.show(*options.shape);
  return session::random_session(*options.shape, options.layers, options.tower_layers, options.common.weights,
                                 options.common.seed);
}

std::string label_of(const BenchOptions& options, const session::Session& session) {
  if (!options.shape) return session.facts().name;
  const int64_t layers = session.facts().layers;
  return fmt::format("{}, {} layer{}", *options.shape, layers, layers == 1 ? "" : "s");
}

void check(const BenchOptions& options) {
  require(options.model.has_value() != options.shape.has_value(), Fault::bad_request,
          "bench needs a MODEL or --shape NAME, one of the two.");
  require(options.output == "md" || options.output == "csv" || options.output == "json", Fault::bad_request,
          "--output is '", options.output, "'; give md, csv or json.");
  require(options.against == "dense" || options.against == "feed-forward", Fault::bad_request, "--against is '",
          options.against, "'; give dense or feed-forward.");
}

void print(const std::string& format, const BenchSubject& subject, const std::vector<Comparison>& results,
           double load_before) {
  const double load_after = load_average();
  const Comparison& first = results.front();
  if (format == "csv") {
    fmt::print("{}", flat_table(subject, results).csv());
  } else if (format == "json") {
    const Json json = {{"processor", processor_name()},        {"vector_set", name_of(vector_set())},
                       {"load_before", load_before},           {"load_after", load_after},
                       {"reference", first.reference},         {"reference_kv_bytes", first.reference_kv_bytes},
                       {"plan_kv_bytes", first.plan_kv_bytes}, {"tests", report_json(subject, results)}};
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print("{}\n", speed_table(subject, results).markdown());
    fmt::print("{} beside {}:\n\n{}\n", first.plan, first.reference, ratio_table(results).markdown());
    fmt::print("KV cache of a sequence after prefill: {} {}, {} {}; rows held equal rows counted.\n", first.reference,
               bytes_text(first.reference_kv_bytes), first.plan, bytes_text(first.plan_kv_bytes));
    fmt::print("{}Machine: {}, vector set {}, {} threads, load {:.2f} before and {:.2f} after.\n",
               slower_lines(results), processor_name(), name_of(vector_set()), subject.threads, load_before,
               load_after);
  }
}

int run(BenchOptions options) {
  if (options.common.json) options.output = "json";
  check(options);
  const double load_before = load_average();
  const session::Session session = open_subject(options);
  const plan::ModelFacts& facts = session.facts();
  const plan::Plan plan = options.plan ? plan::load_plan(*options.plan, facts) : session.plan();
  const int64_t picture = facts.tower ? facts.tower->patches * facts.tower->max_tiles : 0;
  const plan::PromptShape shape = plan::prompt_of(facts, options.vision_tokens.value_or(picture), options.text_tokens);
  session::BenchPrompt prompt{.vision_tokens = shape.vision_tokens,
                              .high_res_tokens = options.high_res_tokens.value_or(shape.high_res_tokens),
                              .text_tokens = options.text_tokens,
                              .seed = options.common.seed};
  options.compare.tiles = options.no_prefill ? 0 : shape.tiles;
  options.compare.prefills = !options.no_prefill;
  if (options.against == "feed-forward") options.compare.reference = Reference::feed_forward;
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
                             .weight_bytes = session.weight_bytes(),
                             .parameters = count_parameters(facts).total(),
                             .threads = threads_of(options.common),
                             .tiles = shape.tiles,
                             .tile_px = facts.tower ? facts.tower->image : 0};
  print(options.output, subject, results, load_before);
  return 0;
}

void add_prompt(CLI::App& app, BenchOptions& options) {
  app.add_option("--vision-tokens", options.vision_tokens, "Vision rows of the prompt (default: one picture)")
      ->type_name("N");
  app.add_option("--high-res-tokens", options.high_res_tokens, "Of these, rows of LLaVA-NeXT's tiles")->type_name("N");
  app.add_option("--text-tokens", options.text_tokens, "Text rows of the prompt (default: 40)")->type_name("N");
  app.add_option("--batch-sizes", options.batch_sizes, "Prompts at a time, one or several numbers (default: 1)")
      ->type_name("N,..")
      ->delimiter(',')
      ->expected(1, 16);
  app.add_option("-r,--rounds", options.compare.rounds, "Rounds that count (default: 9)")->type_name("N");
  app.add_option("--warm-up", options.compare.warm_up, "Rounds in front that do not (default: 1)")->type_name("N");
  app.add_option("--against", options.against, "dense (default) or feed-forward: what the plan is timed beside")
      ->type_name("WHAT");
  app.add_flag("--no-prefill", options.no_prefill, "Time decoding only, behind a made-up cache");
  app.add_option("--decode-tokens", options.compare.decode_steps, "Tokens of a decode run (default: 8)")
      ->type_name("N");
}

}  // namespace

Action declare_bench(CLI::App& app) {
  const auto options = std::make_shared<BenchOptions>();
  app.description(kDescription);
  app.footer(kFooter);
  app.add_option("MODEL", options->model, "Model folder, or demo, or demo-dense");
  app.add_option("--shape", options->shape, "A published shape with random weights")->type_name("NAME");
  app.add_option("--layers", options->layers, "Decoder layers of the shape (default: 2)")->type_name("N");
  app.add_option("--tower-layers", options->tower_layers, "Vision tower layers of the shape (default: 2)")
      ->type_name("N");
  app.add_option("--plan", options->plan, "Skip plan: a name or a JSON file (default: the model's own)")
      ->type_name("NAME|FILE");
  add_prompt(app, *options);
  app.add_option("-o,--output", options->output, "md (default), csv or json")->type_name("FORMAT");
  add_json(app, options->common, "The same as --output json");
  add_common(app, options->common);
  return [options] { return run(*options); };
}

}  // namespace lithe::cli

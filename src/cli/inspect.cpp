#include <fmt/format.h>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "base/suggestion.h"
#include "cli/answer_report.h"
#include "cli/command.h"
#include "cli/number.h"
#include "cli/options.h"
#include "cli/pair.h"
#include "cli/pair_inspect.h"
#include "cli/parameters.h"
#include "cli/prediction.h"
#include "cli/prompt_shape.h"
#include "cli/standard_output.h"
#include "plan/parse.h"
#include "plan/table.h"

namespace lithe::cli {
namespace {

constexpr const char* kInspectDescription =
    R"(Prints a model's architecture, parameters and memory, and what a plan computes.

The plan is printed as a table of layers: attention on or off, vision tokens kept, operations and KV bytes. Below the table,
the totals are compared with dense. docs/counting.md says how operations and bytes are counted. --shape needs no weights. The
shapes are llava-1.5-7b, llava-1.5-13b, llava-next-7b, lavin-7b, which has the adapters of LaVIN-EAS, and meter.

For METER, the parts are printed with their parameters and operations, under the plan and without EAS. --shape meter takes
the plan of EAS for VQAv2 unless --plan names another.)";

constexpr const char* kInspectFooter = R"(Examples:
  lithe inspect demo
  lithe inspect --shape llava-next-7b --plan p-mod --vision-tokens 2880 --text-tokens 40
  lithe inspect --shape llava-1.5-7b --plan fastv --json
  lithe inspect --shape meter --text-tokens 20
  lithe inspect --shape lavin-7b --plan eas-12
  lithe inspect demo --times

Exit codes: 0 done, 130 interrupted, 2 impossible request, 3 bad file, 1 anything else.)";

struct InspectOptions {
  CommonOptions common;
  std::optional<std::string> model, shape, plan;
  PromptShapeOptions prompt;
  std::optional<int64_t> kv_bytes_per_value;
  bool times = false;
};

/// What is inspected: facts and a plan; a model also has a description.
struct Subject {
  plan::ModelFacts facts;
  plan::Plan plan;
  std::optional<Json> description;
  std::optional<int64_t> weight_bytes;
};

/// Throws Error{bad_request} with the names that there are, METER's among them.
void check_shape(const std::string& name) {
  const std::vector<std::string> names = counted_shapes();
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
  std::string known;
  for (const std::string& shape : names) known += (known.empty() ? "" : ", ") + shape;
  const std::string closest = closest_name(name, names);
  fail(Fault::bad_request, "There is no shape ", in_quotes(name),
       closest.empty() ? "" : "; did you mean " + closest + "?", closest.empty() ? "; there are " : " There are ",
       known, ".");
}

Subject subject_of(const InspectOptions& options) {
  Subject subject;
  if (options.shape) {
    refuse_over_shape(options.common);
    require_cpu(options.common, "inspect --shape");
    apply(options.common);
    check_shape(*options.shape);
    subject.facts = plan::shape_named(*options.shape);
    subject.plan = plan::load_plan(options.plan.value_or("p-mod"), subject.facts);
    return subject;
  }
  const session::Session session = open_session(*options.model, options.common);
  subject.facts = session.facts();
  subject.plan = options.plan ? plan::load_plan(*options.plan, subject.facts) : session.plan();
  subject.description = session.describe();
  subject.weight_bytes = session.weight_bytes();
  return subject;
}

std::string memory_lines(const Subject& subject) {
  const plan::ParameterCount count = count_parameters(subject.facts, subject.plan);
  std::string text = fmt::format("weights  {} parameters: decoder {}, embeddings {}, head {}, tower {}, projector {}",
                                 count_text(count.total()), count_text(count.decoder), count_text(count.embeddings),
                                 count_text(count.head), count_text(count.tower), count_text(count.projector));
  text += count.adapters > 0 ? fmt::format(", adapters {}\n", count_text(count.adapters)) : "\n";
  if (!subject.weight_bytes && count.adapters > 0) {
    text += fmt::format("trained  {} parameters: adapters, projector{}\n",
                        count_text(trained_parameters(subject.facts, count)),
                        subject.facts.modality_rows > 0 ? ", modality rows" : "");
  }
  if (subject.weight_bytes) {
    const Json& weights = subject.description->at("weights");
    return text + fmt::format("memory   {} ({})\n", bytes_text(*subject.weight_bytes),
                              weights.value("type", std::string("mixed")));
  }
  return text + fmt::format("memory   {} as float32, {} as bfloat16 or float16\n", bytes_text(count.total() * 4),
                            bytes_text(count.total() * 2));
}

/// The GGUF files that the model was read from; empty if it is a folder.
std::string files_line(const Json& description) {
  if (!description.contains("gguf_files")) return {};
  std::string names;
  for (const Json& file : description.at("gguf_files"))
    names +=
        (names.empty() ? "" : ", ") + printable(std::filesystem::path(file.get<std::string>()).filename().string());
  return fmt::format("files    {}\n", names);
}

/// The LoRA that the model was opened with; empty if there is none.
std::string lora_line(const Json& description) {
  if (!description.contains("lora")) return {};
  const Json& lora = description.at("lora");
  const auto lowest = lora.at("ranks").at(0).get<int64_t>(), highest = lora.at("ranks").at(1).get<int64_t>();
  const std::string ranks =
      lowest == highest ? fmt::format("rank {}", highest) : fmt::format("ranks {} to {}", lowest, highest);
  return fmt::format("lora     {}: {} products of {}, {} complete tensors\n",
                     printable(lora.at("folder").get<std::string>()), lora.at("products").get<int64_t>(), ranks,
                     lora.at("whole_tensors").get<int64_t>());
}

Json to_json(const Subject& subject, const plan::CostTable& table) {
  const plan::ParameterCount count = count_parameters(subject.facts, subject.plan);
  Json json = {{"schema", "lithe-inspect/1"}, {"model", subject.facts.name}};
  if (subject.description) {
    for (const char* key : {"family", "gguf_files", "decoder", "vision_tower", "lora"}) {
      if (subject.description->contains(key)) json[key] = subject.description->at(key);
    }
    json["weight_type"] = subject.description->at("weights").at("type");
    json["weight_bytes"] = *subject.weight_bytes;
  }
  json["parameters"] = count.total();
  json["parameters_by_part"] = {{"decoder", count.decoder},     {"embeddings", count.embeddings},
                                {"head", count.head},           {"tower", count.tower},
                                {"projector", count.projector}, {"adapters", count.adapters}};
  if (!subject.weight_bytes && count.adapters > 0)
    json["trained_parameters"] = trained_parameters(subject.facts, count);
  json["plan"] = subject.plan.name;
  json["expanded_plan"] = plan::to_json(subject.plan);
  json["cost"] = plan::to_json(table);
  return json;
}

/// The type that most of the weights have; of a shape, the one that --weights asks for.
std::string weight_type(const Subject& subject, const CommonOptions& options) {
  if (subject.description) return subject.description->at("weights").value("type", std::string("float32"));
  return options.weights == "auto" ? "bfloat16" : options.weights;
}

/// As --kv says, or for the type whose values have so many bytes.
plan::CostOptions counting_of(const InspectOptions& options) {
  for (const std::string& type : session::kv_types()) {
    const plan::CostOptions counting = session::counted_as(type);
    if (counting.kv_bytes_per_value == options.kv_bytes_per_value) return counting;
  }
  return counted_kv(options.common.kv);
}

int run(const InspectOptions& options) {
  require(options.model.has_value() != options.shape.has_value(), Fault::bad_request,
          "inspect needs a MODEL or --shape NAME, and not both.");
  if (options.shape == kMeterShape || (options.model && is_pair_model(*options.model))) {
    require(!options.times, Fault::bad_request, "--times is for models that generate, not for METER; leave it out.");
    return inspect_pairs(options.model, options.common, options.plan, options.prompt);
  }
  require(options.kv_bytes_per_value != std::optional<int64_t>(3), Fault::bad_request,
          "--kv-bytes-per-value is 3; give 4 (float32), 2 (bfloat16, float16) or 1 (int8).");
  const Subject subject = subject_of(options);
  const plan::PromptShape prompt = prompt_shape(options.prompt, subject.facts);
  const plan::CostTable table = plan::cost(subject.plan, subject.facts, prompt, counting_of(options));
  std::optional<Prediction> prediction;
  if (options.times) prediction = predict(weight_type(subject, options.common), options.common, subject.facts, table);
  if (options.common.json) {
    Json json = to_json(subject, table);
    if (prediction) json["predicted"] = to_json(*prediction);
    write_json(json);
    return 0;
  }
  std::string text;
  if (subject.description) {
    text = fmt::format("family   {}\n", printable(subject.description->value("family", std::string("unknown"))));
    text += files_line(*subject.description) + lora_line(*subject.description);
  }
  write_out(text + memory_lines(subject) + plan::render_inspect(subject.facts, table) +
            (prediction ? "\n" + to_text(*prediction) : ""));
  return 0;
}

}  // namespace

Action declare_inspect(CLI::App& app) {
  const auto options = std::make_shared<InspectOptions>();
  app.description(kInspectDescription);
  app.footer(kInspectFooter);
  app.add_option("MODEL", options->model,
                 "Model folder, GGUF file, name in the Hugging Face cache, demo, or demo-dense");
  std::string shapes;
  for (const std::string& name : counted_shapes()) shapes += (shapes.empty() ? "" : ", ") + name;
  app.add_option("--shape", options->shape, "A published shape instead of a model: " + shapes)->type_name("NAME");
  app.add_option("--plan", options->plan,
                 "Skip plan: the name of a built-in plan, or a JSON file (default: the model's own; with --shape, "
                 "p-mod, and of "
                 "meter that of EAS for VQAv2)")
      ->type_name("NAME|FILE");
  add_prompt_shape(app, options->prompt);
  add_count(app, options->kv_bytes_per_value,
            {.names = "--kv-bytes-per-value",
             .what = "Bytes of a cached value: 4, 2 or 1 (default: those of --kv)",
             .lowest = 1,
             .highest = 4});
  app.add_flag("--times", options->times,
               "Also print the times to expect on this machine, which is measured once, in some seconds");
  add_json(app, options->common, "Print JSON: architecture, parameters, the expanded plan, the cost of every layer");
  add_common(app, options->common);
  add_kv(app, options->common);
  return [options] { return run(*options); };
}

}  // namespace lithe::cli

#include "cli/pair_inspect.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/printable.h"
#include "cli/pair.h"
#include "cli/standard_output.h"
#include "plan/facts.h"
#include "plan/meter_cost.h"
#include "plan/meter_sites.h"
#include "plan/parse.h"

namespace lithe::cli {
namespace {

/// What is inspected.
struct Subject {
  plan::MeterShape shape;
  plan::Plan plan;
  std::optional<int64_t> weight_bytes;
};

/// The ten attentions that EAS found for VQAv2, each by its own number.
plan::Plan published_plan(const plan::MeterShape& shape) {
  return plan::without_meter_sites({16, 13, 6, 12, 18, 5, 3, 21, 15, 7}, shape.stream.layers, plan::MeterFlags::right);
}

Subject subject_of(const std::optional<std::string>& model, const CommonOptions& options,
                   const std::optional<std::string>& plan) {
  if (!model) {
    refuse_over_shape(options);
    require_cpu(options, "inspect --shape");
    apply(options);
    const plan::MeterShape shape = plan::published_meter();
    return {shape, plan ? plan::load_plan(*plan, facts_of(shape)) : published_plan(shape), std::nullopt};
  }
  const session::PairSession session = open_pairs(*model, options);
  return {session.shape(), plan ? plan::load_plan(*plan, session.facts()) : session.plan(), session.weight_bytes()};
}

std::string sites_text(const Subject& subject) {
  std::string text;
  for (const int64_t number : plan::meter_sites_off(subject.plan, subject.shape.stream.layers)) {
    const plan::MeterSite site = plan::meter_site(number, subject.shape.stream.layers);
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", site.stream, site.cross ? "cross" : "self", site.layer);
  }
  return text.empty() ? "none" : text;
}

}  // namespace

std::vector<std::string> counted_shapes() {
  std::vector<std::string> names = plan::shape_names();
  names.emplace_back(kMeterShape);
  return names;
}

int inspect_pairs(const std::optional<std::string>& model, const CommonOptions& options,
                  const std::optional<std::string>& plan, const PromptShapeOptions& prompt) {
  require(!prompt.high_res_tokens, Fault::bad_request, "--high-res-tokens is for models with tiles; leave it out.");
  Subject subject = subject_of(model, options, plan);
  if (prompt.vision_tokens) subject.shape.patches = *prompt.vision_tokens;
  const std::vector<plan::MeterPartCost> parts = meter_cost(subject.plan, subject.shape, prompt.text_tokens);
  if (options.json) {
    Json json{{"schema", "lithe-inspect/1"},
              {"model", subject.shape.name},
              {"family", "meter"},
              {"plan", subject.plan.name},
              {"expanded_plan", plan::to_json(subject.plan)},
              {"text_tokens", prompt.text_tokens},
              {"vision_tokens", subject.shape.patches},
              {"parts", plan::to_json(parts)}};
    if (subject.weight_bytes) json["weight_bytes"] = *subject.weight_bytes;
    write_json(json);
    return 0;
  }
  write_out(fmt::format(
      "model    {}: {} layers a stream, hidden {}\npair     {} text tokens, {} patches\n"
      "plan     {}; attentions that are off: {}\n\n{}",
      printable(subject.shape.name, 30), subject.shape.stream.layers, subject.shape.stream.width, prompt.text_tokens,
      subject.shape.patches, printable(subject.plan.name, 30), sites_text(subject), plan::to_text(parts)));
  return 0;
}

}  // namespace lithe::cli

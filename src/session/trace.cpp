#include "session/trace.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "base/error.h"
#include "io/safetensors.h"
#include "models/model.h"
#include "routing/index_tensor.h"
#include "session/answer.h"
#include "session/finite.h"
#include "session/generation.h"
#include "session/prompt_rows.h"
#include "session/watch.h"

namespace lithe::session {
namespace {

/// Named tensors in the order in which they were added.
class Recording {
 public:
  void add(const std::string& name, const Tensor& tensor) {
    const bool whole = !tensor.is_floating_point();
    const Tensor kept = tensor.detach().to(at::kCPU, whole ? at::kLong : at::kFloat).contiguous();
    const auto owner = std::make_shared<Tensor>(kept);
    const std::span<const std::byte> bytes(static_cast<const std::byte*>(kept.const_data_ptr()),
                                           static_cast<size_t>(kept.nbytes()));
    tensors_.emplace_back(
        name, io::TensorView{whole ? io::Dtype::int64 : io::Dtype::float32, kept.sizes().vec(), bytes, owner, {}});
  }
  void add(const std::string& name, const std::vector<int64_t>& values) {
    add(name, at::tensor(at::ArrayRef<int64_t>(values), at::kLong));
  }

  void write(const std::filesystem::path& out) const { io::write_safetensors(out, tensors_, {{"format", "pt"}}); }

 private:
  std::vector<std::pair<std::string, io::TensorView>> tensors_;
};

/// Records every layer. Rows that are gone for good keep the value they left with, so that `hidden` has all rows of the
/// prompt.
class LayerRecorder {
 public:
  LayerRecorder(Recording& recording, const Tensor& embeddings) : recording_(recording), hidden_(embeddings) {}

  void operator()(const routing::LayerReport& report) {
    const std::string prefix = "layers." + std::to_string(report.layer) + ".";
    recording_.add(prefix + "kept", positions_run(report));
    if (report.rows->router_weight.front())
      recording_.add(prefix + "router_weight", *report.rows->router_weight.front());
    std::vector<int64_t> alive;
    const routing::Rows& survivors = report.rows->survivors;
    for (int64_t i = 0; i < survivors.count(); ++i) {
      alive.push_back(
          report.batch->order[static_cast<size_t>(survivors.index ? survivors.list[static_cast<size_t>(i)] : i)]);
    }
    hidden_ = at::index_copy(hidden_, 0, routing::index_tensor(alive, hidden_), report.hidden);
    recording_.add(prefix + "hidden", hidden_);
  }

 private:
  Recording& recording_;
  Tensor hidden_;
};

/// Whether a rule of the plan governs rows of this kind somewhere in the decoder.
bool may_be_skipped(const plan::Plan& plan, routing::RowKind kind) {
  return std::any_of(plan.layers.begin(), plan.layers.end(), [kind](const plan::LayerPlan& layer) {
    return layer.stream == "decoder" && plan::governing_rule(layer, kind) != nullptr;
  });
}

void record_prompt(Recording& recording, const plan::Plan& plan, const PromptRows& prompt) {
  for (size_t i = 0; i < prompt.images.size(); ++i) {
    const std::string prefix = "images." + std::to_string(i) + ".";
    recording.add(prefix + "pixel_values", prompt.images[i].pixels);
    recording.add(prefix + "vision_features", prompt.images[i].features);
    recording.add(prefix + "projected", prompt.images[i].projected);
  }
  recording.add("input_ids", prompt.ids);
  recording.add("inputs_embeds", prompt.embeddings);
  std::vector<int64_t> mask;
  for (const routing::RowKind kind : prompt.kinds) mask.push_back(may_be_skipped(plan, kind) ? 1 : 0);
  recording.add("vision_mask", mask);
}

}  // namespace

void write_trace(const Session& session, const Request& request, const TraceOptions& options,
                 const std::filesystem::path& out) {
  const c10::InferenceMode no_gradients;
  const models::Model& model = session.model();
  const std::shared_ptr<const plan::Plan> plan = plan_of(model, request);
  require(options.max_tokens >= 0, Fault::bad_request, "trace: the number of tokens is ", options.max_tokens,
          ", it must be 0 or more");
  const PromptRows prompt = build_prompt(model, request, Watch({.on_progress = options.on_progress}));
  const int64_t room = room_after(model, prompt.rows());
  require(options.max_tokens <= room, Fault::bad_request, "trace: ", prompt.rows(), " prompt tokens and ",
          options.max_tokens, " new ones don't fit into the model's ", longest_sequence(model), "; ask for ", room,
          " or fewer");

  const auto tell = [&](const Progress& progress) {
    if (options.on_progress) options.on_progress(progress);
  };
  Recording recording;
  record_prompt(recording, *plan, prompt);
  Generation generation(model, plan);
  LayerRecorder layers(recording, prompt.embeddings);
  const auto observe = [&](const routing::LayerReport& report) {
    layers(report);
    tell({.stage = Progress::Stage::prefill,
          .done = report.layer + 1,
          .total = model.decoder.config.layers,
          .rows = prompt.rows()});
  };
  const Tensor hidden = generation.prefill(prompt, observe);
  const Tensor logits = model.decoder.logits(hidden);
  require_finite(model, logits, "the logits of the prompt");
  recording.add("logits", logits);
  const std::vector<int64_t> prefilled = generation.rows_held();

  std::vector<int64_t> tokens;
  std::vector<Tensor> step_logits;
  Tensor scores = logits.narrow(0, logits.size(0) - 1, 1);
  while (static_cast<int64_t>(tokens.size()) < options.max_tokens) {
    step_logits.push_back(scores);
    tokens.push_back(scores.argmax(-1).item<int64_t>());
    if (!options.ignore_eos && model.prompting.ends(tokens.back())) break;
    if (static_cast<int64_t>(tokens.size()) < options.max_tokens) {
      scores = model.decoder.logits(generation.step(tokens.back()));
      tell(
          {.stage = Progress::Stage::decode, .done = static_cast<int64_t>(tokens.size()), .total = options.max_tokens});
      require_finite(model, scores, concat("the logits of new token ", tokens.size() + 1));
    }
  }
  recording.add("tokens", tokens);
  recording.add("step_logits", step_logits.empty() ? logits.narrow(0, 0, 0) : at::cat(step_logits));
  recording.add("kv_lengths.prefill", prefilled);
  recording.add("kv_lengths.end", generation.rows_held());
  recording.write(out);
}

}  // namespace lithe::session

#include "session/fold.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "models/folding.h"
#include "session/answer.h"
#include "session/generation.h"
#include "session/prompt_rows.h"

namespace lithe::session {
namespace {

constexpr int64_t kRowsAtATime = 256;  // of logits, which are as wide as the vocabulary

/// What every layer froze over this prompt.
std::vector<nn::LayerState> states_after(const models::Model& model, const PromptRows& prompt) {
  std::vector<nn::LayerState> states(model.decoder.blocks.size());
  routing::Batch batch{.sequences = {{.plan = &model.plan, .states = states}}, .offsets = {0, prompt.rows()}};
  batch.positions.resize(static_cast<size_t>(prompt.rows()));
  std::iota(batch.positions.begin(), batch.positions.end(), 0);
  batch.kinds = prompt.kinds;
  model.decoder.forward(std::move(batch), prompt.embeddings);
  return states;
}

/// Takes the logits of the same rows from both models into the report.  whole, folded: [rows, vocab]
void compare(const at::Tensor& whole, const at::Tensor& folded, FoldReport& report) {
  const auto most = [](double a, const at::Tensor& b) { return std::max(a, b.abs().max().item<double>()); };
  report.largest_deviation = most(report.largest_deviation, whole - folded);
  report.largest_logit = most(report.largest_logit, whole);
}

/// A model, and the rows that it makes of the request.
struct Side {
  const models::Model& model;
  const PromptRows prompt;
};

void compare_models(const Side& left, const Side& right, const FoldOptions& options, FoldReport& report) {
  const models::Model &whole = left.model, &folded = right.model;
  Generation a(whole, whole.plan), b(folded, folded.plan);
  const at::Tensor x = a.prefill(left.prompt.embeddings, left.prompt.kinds),
                   y = b.prefill(right.prompt.embeddings, right.prompt.kinds);
  report.rows = x.size(0);
  at::Tensor of_whole, of_folded;
  for (int64_t first = 0; first < x.size(0); first += kRowsAtATime) {
    const int64_t count = std::min(kRowsAtATime, x.size(0) - first);
    of_whole = whole.decoder.logits(x.narrow(0, first, count));
    of_folded = folded.decoder.logits(y.narrow(0, first, count));
    compare(of_whole, of_folded, report);
  }
  const int64_t longest = whole.decoder.config.max_positions;
  const int64_t room = longest == 0 ? options.new_tokens : std::min(options.new_tokens, longest - left.prompt.rows());
  at::Tensor next = of_whole[-1], next_folded = of_folded[-1];
  for (report.tokens = 0; report.tokens < room; ++report.tokens) {
    const auto id = next.argmax(-1).item<int64_t>();
    report.tokens_equal += next_folded.argmax(-1).item<int64_t>() == id ? 1 : 0;
    next = whole.decoder.logits(a.step(id))[0];
    next_folded = folded.decoder.logits(b.step(id))[0];
    compare(next, next_folded, report);
  }
}

}  // namespace

FoldReport fold_model(const Session& session, const Request& request, const FoldOptions& options,
                      const std::filesystem::path& out) {
  const c10::InferenceMode no_gradients;
  const models::Model& model = session.model();
  const PromptRows prompt = build_prompt(model, request);
  std::vector<nn::LayerState> states;
  if (options.freeze) states = states_after(model, prompt);
  const models::FoldCount count = models::write_folded(model, options.freeze ? &states : nullptr, out);
  FoldReport report{.gains = count.gains,
                    .adapters = count.adapters,
                    .adapters_left = count.left,
                    .low_rank = count.low_rank,
                    .whole = count.whole,
                    .rounding = count.rounding};
  const auto folded = models::open_model(out);
  report.bytes_before = model.weight_bytes;
  report.bytes_after = folded->weight_bytes;
  compare_models({model, prompt}, {*folded, build_prompt(*folded, request)}, options, report);
  return report;
}

}  // namespace lithe::session

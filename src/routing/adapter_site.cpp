#include "routing/adapter_site.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>

#include "base/error.h"

namespace lithe::routing {
namespace {

/// The mean row of every sequence.  x: [rows, width] -> [sequences, width]; a sequence without rows gives zeros.
Tensor sequence_means(const Tensor& x, const std::vector<int64_t>& offsets) {
  std::vector<Tensor> means;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const int64_t count = offsets[i + 1] - offsets[i];
    means.push_back(x.narrow(0, offsets[i], count).sum(0) / static_cast<double>(std::max<int64_t>(count, 1)));
  }
  return at::stack(means);
}

/// Repeats row i of `values` for every row of sequence i.  [sequences, width] -> [rows, width]
Tensor spread(const Tensor& values, const std::vector<int64_t>& offsets) {
  std::vector<Tensor> parts;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    parts.push_back(values.narrow(0, static_cast<int64_t>(i), 1).expand({offsets[i + 1] - offsets[i], values.size(1)}));
  }
  return at::cat(parts);
}

nn::LayerState* state_of(SiteContext& context, size_t sequence) {
  const std::span<nn::LayerState> states = context.batch.sequences[sequence].states;
  return states.empty() ? nullptr : &states[static_cast<size_t>(context.layer)];
}

/// Takes `fresh` for prompts, and freezes it; for decoded rows what the prompt froze.  [sequences, width]
Tensor frozen(const Tensor& fresh, SiteContext& context, std::optional<Tensor> nn::LayerState::*slot) {
  std::vector<Tensor> rows;
  for (size_t i = 0; i < context.batch.sequences.size(); ++i) {
    nn::LayerState* state = state_of(context, i);
    const Tensor row = fresh.select(0, static_cast<int64_t>(i));
    if (state && context.batch.sequences[i].prompt) state->*slot = row.detach();
    rows.push_back(state && !context.batch.sequences[i].prompt && state->*slot ? *(state->*slot) : row);
  }
  return at::stack(rows);
}

std::optional<Tensor> gate_rows(const std::optional<nn::AdapterGate>& gate, const Tensor& x, const std::vector<int64_t>& offsets, SiteContext& context) {
  if (!gate) return std::nullopt;
  return spread(frozen((*gate)(sequence_means(x, offsets)), context, &nn::LayerState::pia_gate), offsets);
}

}  // namespace

Tensor apply_rep_adapter(const nn::RepAdapter& adapter, const Tensor& x, const std::vector<int64_t>& offsets, SiteContext& context) {
  return x + adapter.up(adapter.down(x), gate_rows(adapter.gate, x, offsets, context));
}

Tensor apply_pia(const nn::Pia& pia, const Tensor& x, const std::vector<int64_t>& offsets, SiteContext& context) {
  const Tensor mean = frozen(sequence_means(pia.shared(x), offsets), context, &nn::LayerState::pia_mean);  // [sequences, rank]
  const Tensor u = 0.5 * (pia.own(x) + spread(mean, offsets));
  const Tensor y = x + pia.up(u, gate_rows(pia.gate, x, offsets, context));
  return pia.gain ? y * *pia.gain : y;
}

Tensor pia_branch(const nn::Pia& pia, const Tensor& x, const std::vector<int64_t>& offsets, const OtherStream& read) {
  const Tensor mean = sequence_means(pia.shared(read.hidden), read.offsets);
  const Tensor y = pia.up(0.5 * (pia.own(x) + spread(mean, offsets)), std::nullopt);
  return pia.residual ? x + y : y;
}

}  // namespace lithe::routing

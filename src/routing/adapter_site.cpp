#include "routing/adapter_site.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace lithe::routing {
namespace {

/// Where a layer's state holds what an adapter froze.
using Slot = std::optional<Tensor> nn::LayerState::*;

/// Which of a prompt's rows a mean reads: at most `most` of those after the first `left_out`.
struct MeanRows {
  int64_t left_out = 0;
  int64_t most = std::numeric_limits<int64_t>::max();
  bool freezes = true;  ///< For rows after the prompt.
};

/// The mean of some of a sequence's rows of the prompt; zeros if there are none.  x: [rows, width] -> [width]
Tensor prompt_mean(const Tensor& x, const SequenceRange& sequences, size_t i, const MeanRows& read) {
  const int64_t first = sequences.offsets[i] + read.left_out;
  const int64_t count = std::clamp<int64_t>(sequences.scopes[i] - read.left_out, 0, read.most);
  return x.narrow(0, std::min(first, x.size(0)), count).sum(0) / static_cast<double>(std::max<int64_t>(count, 1));
}

/// Repeats row i of `values` for every row of sequence i.  [sequences, width] -> [rows, width], or [1, width] for one
/// sequence.
Tensor spread(const Tensor& values, const std::vector<int64_t>& offsets) {
  if (offsets.size() == 2) return values;
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

/// Whether a pass takes what the prompt froze.
bool takes_frozen(const nn::LayerState* state, const Sequence& sequence, Slot slot) {
  return state && sequence.decodes() && state->*slot;
}

/// What `compute` returns for the mean row of each sequence's prompt. A pass that has the prompt computes it and
/// freezes it; one that decodes takes what was frozen.  x: [rows, hidden] -> [sequences, width]
template <class Compute>
Tensor frozen(const Tensor& x, const SequenceRange& sequences, SiteContext& context, Slot slot, const MeanRows& read,
              const Compute& compute) {
  std::vector<Tensor> rows;
  for (size_t i = 0; i < sequences.scopes.size(); ++i) {
    nn::LayerState* state = state_of(context, sequences.first + i);
    const Sequence& sequence = context.batch.sequences[sequences.first + i];
    if (read.freezes && takes_frozen(state, sequence, slot)) {
      rows.push_back(*(state->*slot));
      continue;
    }
    rows.push_back(compute(prompt_mean(x, sequences, i, read).unsqueeze(0)).squeeze(0));
    if (state && read.freezes && !sequence.decodes()) state->*slot = rows.back().detach();
  }
  return at::stack(rows);
}

/// The gate that each row gives, or the gates that are frozen for the rows of a sequence.  x: [rows, hidden] -> [rows,
/// 2]
Tensor gates_of_rows(const nn::AdapterGate& gate, const Tensor& x, const SequenceRange& sequences, SiteContext& context,
                     Slot slot) {
  std::vector<Tensor> parts;
  for (size_t i = 0; i < sequences.scopes.size(); ++i) {
    const nn::LayerState* state = state_of(context, sequences.first + i);
    const bool held = takes_frozen(state, context.batch.sequences[sequences.first + i], slot);
    const int64_t first = sequences.offsets[i], count = sequences.offsets[i + 1] - first;
    parts.push_back(held ? *(state->*slot) : gate(x.narrow(0, first, count)));
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

/// -> [sequences, 2], or [rows, 2] if each row has its own, or absent if there is no gate.
std::optional<Tensor> gate_of(const std::optional<nn::AdapterGate>& gate, const Tensor& x,
                              const SequenceRange& sequences, SiteContext& context, Slot slot) {
  if (!gate) return std::nullopt;
  if (gate->each_row) return gates_of_rows(*gate, x, sequences, context, slot);
  const MeanRows read{gate->left_out, gate->most.value_or(MeanRows{}.most)};
  return frozen(x, sequences, context, slot, read, *gate);
}

Slot gate_slot(Site::Kind kind) {
  return kind == Site::Kind::feed_forward ? &nn::LayerState::feed_forward_gate : &nn::LayerState::attention_gate;
}

/// The mean of A x + a is A (mean of x) + a: one row a sequence goes through A.  -> [sequences, rank]
Tensor mean_of(const nn::Pia& pia, const Tensor& x, const SequenceRange& sequences, SiteContext& context) {
  if (!pia.freezes_mean) {
    SequenceRange own = sequences;
    for (size_t i = 0; i < own.scopes.size(); ++i) {
      const bool decodes = context.batch.sequences[own.first + i].decodes();
      if (decodes) own.scopes[i] = own.offsets[i + 1] - own.offsets[i];
    }
    return frozen(x, own, context, &nn::LayerState::pia_mean, {.freezes = false}, pia.shared);
  }
  return frozen(x, sequences, context, &nn::LayerState::pia_mean, {}, pia.shared);
}

}  // namespace

SequenceRange range_of(const Rows& rows, const SiteContext& context) {
  SequenceRange range{0, rows.offsets, {}, context.draws_of(rows)};
  for (size_t i = 0; i + 1 < rows.offsets.size(); ++i) range.scopes.push_back(prompt_rows(rows, context, i));
  return range;
}

SequenceRange whole_range(std::vector<int64_t> offsets) {
  SequenceRange range{0, std::move(offsets), {}, {}};
  for (size_t i = 0; i + 1 < range.offsets.size(); ++i) range.scopes.push_back(range.offsets[i + 1] - range.offsets[i]);
  return range;
}

Tensor apply_rep_adapter(const nn::RepAdapter& adapter, const Tensor& x, const SequenceRange& sequences,
                         SiteContext& context, Site::Kind kind) {
  const Tensor u = adapter.dropout(adapter.down(x), sequences.draws);
  return x + adapter.up(u, gate_of(adapter.gate, x, sequences, context, gate_slot(kind)), sequences.offsets);
}

Tensor apply_pia(const nn::Pia& pia, const Tensor& x, const SequenceRange& sequences, SiteContext& context) {
  const Tensor mean = mean_of(pia, x, sequences, context);
  const Tensor u = pia.dropout(0.5 * (pia.own(x) + spread(mean, sequences.offsets)), sequences.draws);
  Tensor y = x + pia.up(u, gate_of(pia.gate, x, sequences, context, &nn::LayerState::pia_gate), sequences.offsets);
  if (pia.gain) y = y * *pia.gain;
  return pia.shift ? y + *pia.shift : y;
}

void freeze_idle(const nn::RepAdapter& adapter, const Tensor& x, const SequenceRange& sequences, SiteContext& context,
                 Site::Kind kind) {
  gate_of(adapter.gate, x, sequences, context, gate_slot(kind));
}

void freeze_idle(const nn::Pia& pia, const Tensor& x, const SequenceRange& sequences, SiteContext& context) {
  mean_of(pia, x, sequences, context);
  gate_of(pia.gate, x, sequences, context, &nn::LayerState::pia_gate);
}

Tensor pia_branch(const nn::Pia& pia, const Tensor& x, const SequenceRange& own, const Tensor& read,
                  const SequenceRange& sequences) {
  std::vector<Tensor> means;
  for (size_t i = 0; i < sequences.scopes.size(); ++i) means.push_back(prompt_mean(read, sequences, i, {}));
  const Tensor mean = pia.shared(at::stack(means));
  const Tensor u = pia.dropout(0.5 * (pia.own(x) + spread(mean, own.offsets)), own.draws);
  const Tensor y = pia.up(u, std::nullopt, own.offsets);
  return pia.residual ? x + y : y;
}

}  // namespace lithe::routing

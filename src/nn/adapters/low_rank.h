#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "nn/linear.h"

namespace lithe::nn {

/// The up-projection that RepAdapter and PIA share: s [w0 (B u + b) + w1 (D u + d)], B and D block-diagonal (grouped
/// convolutions of width 1 in the published code). METER's has no D and no gate. B and D are tensors and not a Weight
/// each: the gate mixes their numbers before a product, so they have to be there as float32.
struct GatedUp {
  Tensor b_weight;               ///< [hidden, rank / groups]
  std::optional<Tensor> b_bias;  ///< [hidden]
  std::optional<Tensor> d_weight, d_bias;
  int64_t groups = 2;
  double scale = 1.0;

  /// u: [rows, rank], cut into sequences by `offsets`; gate: [sequences, 2], or [rows, 2] if each row has its own, or
  /// absent (w0 = w1 = 1) -> [rows, hidden].
  /// For long sequences the cost is one block-diagonal product: hidden * rank operations per row with two groups.
  Tensor operator()(const Tensor& u, const std::optional<Tensor>& gate, const std::vector<int64_t>& offsets) const;
};

/// softmax(router(mean of x) / t), the two weights of an adapter's paths.
struct AdapterGate {
  Linear router;  ///< [2, hidden]
  double temperature = 10.0;
  int64_t left_out = 0;  ///< Rows at a sequence's start that the mean leaves out: 1 in LaVIN-EAS, the modality token.
  std::optional<int64_t> most;  ///< How many rows after those the mean reads; absent: all. 1 in LaVIN: that token.
  bool each_row = false;        ///< There is no mean: each row has the gate that it gives (LaVIN's tower).
  /// pooled: [sequences, hidden] -> [sequences, 2]
  Tensor operator()(const Tensor& pooled) const;
};

/// RepAdapter (arXiv 2302.08106) as EAS places it before q, k, v or the FFN: y = x + up(A x + a).
struct RepAdapter {
  Linear down;  ///< A, a
  GatedUp up;
  std::optional<AdapterGate> gate;
  ops::Dropout dropout;  ///< Of A x + a, in training.
};

/// EAS's propagation-of-information adapter (arXiv 2403.15226): y = x + up(0.5 (C x + c + mean over tokens of (A x +
/// a))).
struct Pia {
  Linear shared;  ///< A, a: its token mean carries information between tokens, as attention would
  Linear own;     ///< C, c
  GatedUp up;
  std::optional<AdapterGate> gate;
  /// g2 of the norm whose place the PIA took: the FFN then reads gain * PIA(norm1(x)). Absent if it is folded into the
  /// FFN's weights.
  std::optional<Tensor> gain;
  std::optional<Tensor> shift;  ///< b2 of that norm, if it has one: the FFN reads gain * PIA(norm1(x)) + shift.
  bool residual = true;         ///< METER's PIA leaves the residual to the site
  /// False, as LaVIN-EAS was published: the token mean of a pass that decodes is that of its own rows.
  bool freezes_mean = true;
  ops::Dropout dropout;  ///< Of what `up` reads, in training.
};

}  // namespace lithe::nn

#pragma once

#include "nn/adapters/low_rank.h"

namespace lithe::nn {

/// An adapter whose gate and token mean are known: the affine map y = diag(gain) (x + left (right x)) + offset before a
/// Linear, kept as factors.
struct AdapterMap {
  std::optional<Tensor> gain;  ///< [hidden]; absent: 1
  Tensor left, right;          ///< [hidden, rank], [rank, hidden]
  Tensor offset;               ///< [hidden]

  Tensor matrix() const;  ///< [hidden, hidden] diag(gain) (I + left right)
};

// With M = s (w0 B + w1 D) and c0 = s (w0 b + w1 d). gate: [2], w0 and w1; absent: both 1.

/// R = I + M A, r = M a + c0.
AdapterMap map_of(const RepAdapter& adapter, const std::optional<Tensor>& gate);

/// R = diag(g2) (I + M C / 2), r = g2 (M (c + mean) / 2 + c0).  mean: [rank] of A x + a over the prompt.
AdapterMap map_of(const Pia& pia, const std::optional<Tensor>& gate, const Tensor& mean);

/// W + s B A in float64: the weight with its LoRA, if it has one.  [out, in]
Tensor whole_weight(const Linear& linear);

// A Linear with its LoRA, and what ran before it, folded in. The result stays in float64, so that it is rounded only
// once, when it is written.

/// `map` and `linear` as one Linear: W' = W R, b' = W r + b.
Linear folded(const Linear& linear, const AdapterMap& map);

/// b + W offset: the bias if `offset` is added before the Linear.  [out]
Tensor folded_bias(const Linear& linear, const Tensor& offset);

/// W diag(gain): the weight with the gain before the Linear folded in.
Linear folded(const Linear& linear, const Tensor& gain);

}  // namespace lithe::nn

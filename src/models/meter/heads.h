#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "models/parts/weight_slot.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace lithe::models {

using at::Tensor;

/// How many classes each head of METER tells apart; 0: there is no such head.
struct HeadsConfig {
  int64_t hidden = 0;
  int64_t vqa = 0, nlvr2 = 0, snli = 0;
  bool itm = false, rank = false, mlm = false;
  int64_t vocab = 0;          ///< Of mlm.
  double norm_eps = 1e-5;     ///< Of the classifiers.
  double masked_eps = 1e-12;  ///< Of mlm, as of the streams.
};

/// Linear, norm, GELU, Linear.
struct Classifier {
  nn::Linear up;
  nn::Norm norm;
  nn::Linear down;

  /// x: [rows, in] -> [rows, classes]
  Tensor operator()(const Tensor& x) const;
};

/// Linear, GELU, norm, and the product with the vocabulary.
struct MaskedHead {
  nn::Linear up;
  nn::Norm norm;
  nn::Linear down;

  /// x: [rows, hidden] -> [rows, vocab]
  Tensor operator()(const Tensor& x) const;
};

/// METER's heads, of which a checkpoint has those that it was trained for.
struct Heads {
  HeadsConfig config;
  std::optional<Classifier> vqa;    ///< Reads what both poolers give, [pairs, 2 hidden].
  std::optional<Classifier> nlvr2;  ///< Reads that of both pictures, [pairs, 4 hidden].
  std::optional<Classifier> snli;
  std::optional<nn::Linear> itm;   ///< [2, 2 hidden]; class 1: text and picture belong together.
  std::optional<nn::Linear> rank;  ///< [1, 2 hidden]
  std::optional<MaskedHead> mlm;   ///< Reads the rows of the stream `text`.

  /// How well texts and pictures fit: the head `rank`, or class 1 of `itm`, which it begins as. Throws
  /// Error{bad_request} if there is neither.  pooled: [pairs, 2 hidden] -> [pairs]
  Tensor ranking(const Tensor& pooled) const;
};

/// Heads of this shape whose tensors are still to be filled.
Heads shaped_heads(const HeadsConfig& config);

/// Every weight.
void visit(Heads& heads, const WeightVisitor& visitor);

}  // namespace lithe::models

#pragma once

#include "models/parts/weight_slot.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace lithe::models {

/// A Linear without values, with room for a bias if it has one.
inline nn::Linear shaped_linear(bool bias) {
  return {{}, bias ? std::optional<at::Tensor>(at::Tensor()) : std::nullopt};
}

/// A weight [out, in] and a bias [out]; LoRA of [rank, in] and [out, rank].
inline void visit(const WeightName& name, nn::Linear& linear, int64_t out, int64_t in, const WeightVisitor& visitor) {
  visitor({name.with(Kind::weight), &linear.weight, {out, in}, true, &linear});
  if (linear.bias) visitor({name.with(Kind::bias), &*linear.bias, {out}});
  if (!linear.low_rank) return;
  const int64_t rank = linear.low_rank->rank();
  visitor({name.with(Kind::factor_a), &linear.low_rank->a, {rank, in}, true});
  visitor({name.with(Kind::factor_b), &linear.low_rank->b, {out, rank}, true});
}

/// A gain and a bias, [width] each.
inline void visit(const WeightName& name, nn::Norm& norm, int64_t width, const WeightVisitor& visitor) {
  visitor({name.with(Kind::weight), &norm.gain, {width}});
  if (norm.bias) visitor({name.with(Kind::bias), &*norm.bias, {width}});
}

}  // namespace lithe::models

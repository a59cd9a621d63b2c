#pragma once

#include <string>

#include "models/parts/weight_slot.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace lithe::models {

/// A Linear without values, with room for a bias where it has one.
inline nn::Linear shaped_linear(bool bias) {
  return {at::Tensor(), bias ? std::optional<at::Tensor>(at::Tensor()) : std::nullopt};
}

/// "NAME.weight" [out, in] and "NAME.bias" [out]; "NAME.lora_A.weight" [rank, in] and "NAME.lora_B.weight" [out, rank].
inline void visit(const std::string& name, nn::Linear& linear, int64_t out, int64_t in, const WeightVisitor& visitor) {
  visitor({name + ".weight", linear.weight, {out, in}, true, &linear});
  if (linear.bias) visitor({name + ".bias", *linear.bias, {out}});
  if (!linear.low_rank) return;
  const int64_t rank = linear.low_rank->rank();
  visitor({name + ".lora_A.weight", linear.low_rank->a, {rank, in}, true});
  visitor({name + ".lora_B.weight", linear.low_rank->b, {out, rank}, true});
}

/// "NAME.weight" and "NAME.bias", [width] each.
inline void visit(const std::string& name, nn::Norm& norm, int64_t width, const WeightVisitor& visitor) {
  visitor({name + ".weight", norm.gain, {width}});
  if (norm.bias) visitor({name + ".bias", *norm.bias, {width}});
}

}  // namespace lithe::models

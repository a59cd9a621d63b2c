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

/// "NAME.weight" [out, in] and "NAME.bias" [out].
inline void visit(const std::string& name, nn::Linear& linear, int64_t out, int64_t in, const WeightVisitor& visitor) {
  visitor({name + ".weight", linear.weight, {out, in}, true});
  if (linear.bias) visitor({name + ".bias", *linear.bias, {out}});
}

/// "NAME.weight" and "NAME.bias", [width] each.
inline void visit(const std::string& name, nn::Norm& norm, int64_t width, const WeightVisitor& visitor) {
  visitor({name + ".weight", norm.gain, {width}});
  if (norm.bias) visitor({name + ".bias", *norm.bias, {width}});
}

}  // namespace lithe::models

#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "nn/weight.h"
#include "ops/norm.h"

namespace lithe::nn {

using at::Tensor;

/// RMS normalisation (LLaMA) or layer normalisation (CLIP, RoBERTa).
struct Norm {
  enum class Kind { rms, layer };
  Kind kind = Kind::rms;
  Tensor gain;                 ///< [hidden], float32
  std::optional<Tensor> bias;  ///< [hidden], float32; layer only
  double eps = 1e-5;

  /// x: [rows, hidden] -> [rows, hidden]
  Tensor operator()(const Tensor& x) const {
    return kind == Kind::rms ? ops::rms_norm(x, gain, eps) : ops::layer_norm(x, gain, bias, eps);
  }
  /// As products of `reader` read it (Weight::input).
  Tensor operator()(const Tensor& x, const Weight& reader) const {
    const at::ScalarType type = reader.input_type(x);
    return kind == Kind::rms && type != x.scalar_type() ? ops::rms_norm(x, gain, eps, type) : (*this)(x).to(type);
  }
};

}  // namespace lithe::nn

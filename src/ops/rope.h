#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lithe::ops {

using at::Tensor;

/// Rotary position embedding (arXiv 2104.09864) with the scalings of transformers' `rope_scaling`.
struct RopeConfig {
  enum class Scaling { none, linear, dynamic, llama3, yarn };
  double theta = 10000.0;
  int64_t head_dim = 0;
  Scaling scaling = Scaling::none;
  double factor = 1.0;
  int64_t original_positions = 0;                        ///< dynamic, llama3, yarn: positions of the pre-training.
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  ///< llama3
  double beta_fast = 32.0, beta_slow = 1.0, attention_factor = 0.0;  ///< yarn; attention_factor 0: 0.1 ln(factor) + 1
};

/// Angles of some rows: cosine and sine, each [rows, head_dim / 2], float32.
struct RopeAngles {
  Tensor cosine, sine;
  RopeAngles rows(const Tensor& index) const;  ///< index: [chosen] int64.
  RopeAngles to(const Tensor& like) const;     ///< On the device of `like`, in its floating type where that is float64.
};

/// Angles for original positions. `dynamic` reads the longest sequence as max(position) + 1.
RopeAngles rope_angles(const RopeConfig& config, std::span<const int64_t> positions);

/// Rotates pairs (i, i + head_dim / 2).  x: [rows, heads, head_dim] -> same; may reuse x's memory where no gradient is
/// taken.
Tensor rotate(Tensor x, const RopeAngles& angles);

}  // namespace lithe::ops

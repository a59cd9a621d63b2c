#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lithe::ops {

using at::Tensor;

/// Where rows stand for rotary embedding, on one axis or several.  [axes][rows]
using Places = std::vector<std::vector<int64_t>>;
/// Those of the rows [begin, end), on the same axes.
Places some_places(const Places& all, int64_t begin, int64_t end);

/// Rotary position embedding (arXiv 2104.09864) with the scalings of transformers' `rope_scaling`.
struct RopeConfig {
  enum class Scaling { none, linear, dynamic, llama3, yarn };
  double theta = 10000.0;
  int64_t head_dim = 0;
  Scaling scaling = Scaling::none;
  double factor = 1.0;
  int64_t original_positions = 0;                        ///< dynamic, llama3, yarn: positions of the pre-training.
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  ///< llama3
  /// M-RoPE (arXiv 2409.12191), places on several axes: how many pairs each axis turns. Empty: the first turns all.
  std::vector<int64_t> sections;
  enum class Layout {
    blocks,       ///< First the pairs of axis 0, then those of axis 1, .. (Qwen2-VL's decoder).
    interleaved,  ///< Pair by pair, axis after axis; axis 0 takes what the others leave (Qwen3-VL's decoder).
    own_ladder,   ///< Blocks, each with the frequencies of a head of twice its pairs (Qwen2-VL's tower: rows, columns).
  };
  Layout layout = Layout::blocks;
  double beta_fast = 32.0, beta_slow = 1.0, attention_factor = 0.0;  ///< yarn; attention_factor 0: 0.1 ln(factor) + 1
};

/// Angles of some rows: cosine and sine, each [rows, head_dim / 2], float32.
struct RopeAngles {
  Tensor cosine, sine;
  RopeAngles rows(const Tensor& index) const;  ///< index: [chosen] int64.
  RopeAngles to(const Tensor& like) const;     ///< On the device of `like`, in its floating type if that is float64.
};

/// Angles for places. One axis may stand for all: text of a model with M-RoPE. `dynamic` reads the longest sequence as
/// the largest place + 1. Throws Error{bad_file} for sections that do not fit the head.
RopeAngles rope_angles(const RopeConfig& config, const Places& places);
/// On one axis.
RopeAngles rope_angles(const RopeConfig& config, std::span<const int64_t> places);

/// Rotates pairs (i, i + head_dim / 2).  x: [rows, heads, head_dim] -> same; may reuse x's memory if no gradient is
/// taken.
Tensor rotate(Tensor x, const RopeAngles& angles);

}  // namespace lithe::ops

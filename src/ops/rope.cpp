#include "ops/rope.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "base/error.h"
#include "ops/gpu_rows.h"
#include "ops/llama3_frequency.h"
#include "ops/own_loops.h"
#include "ops/rotate_node.h"
#include "ops/row_loops.h"

namespace lithe::ops {
namespace {

using Scaling = RopeConfig::Scaling;
constexpr double kTwoPi = 2 * std::numbers::pi;

/// YaRN (arXiv 2309.00071): a ramp over the dimensions between those that turn beta_fast and beta_slow times in
/// pre-training.
double yarn_frequency(const RopeConfig& config, double frequency, int64_t pair) {
  const auto dimension_of_turns = [&](double turns) {
    return static_cast<double>(config.head_dim) *
           std::log(static_cast<double>(config.original_positions) / (turns * kTwoPi)) / (2 * std::log(config.theta));
  };
  const double low = std::max(std::floor(dimension_of_turns(config.beta_fast)), 0.0);
  const double high =
      std::min(std::ceil(dimension_of_turns(config.beta_slow)), static_cast<double>(config.head_dim - 1));
  const double ramp = std::clamp((static_cast<double>(pair) - low) / std::max(high - low, 0.001), 0.0, 1.0);
  return frequency / config.factor * ramp + frequency * (1 - ramp);
}

/// The frequencies of a head of this width.
std::vector<float> ladder(const RopeConfig& config, int64_t head_dim, int64_t longest) {
  double theta = config.theta;
  const double width = static_cast<double>(head_dim);
  if (config.scaling == Scaling::dynamic && longest > config.original_positions) {
    const double stretch =
        config.factor * static_cast<double>(longest) / static_cast<double>(config.original_positions);
    theta *= std::pow(stretch - (config.factor - 1), width / (width - 2));
  }
  std::vector<float> result(static_cast<size_t>(head_dim / 2));
  for (int64_t pair = 0; pair < head_dim / 2; ++pair) {
    // The reference forms the exponent and the power in float32.
    const float exponent = static_cast<float>(2 * pair) / static_cast<float>(head_dim);
    double frequency = 1.0f / std::pow(static_cast<float>(theta), exponent);
    if (config.scaling == Scaling::linear) frequency /= config.factor;
    if (config.scaling == Scaling::llama3) frequency = llama3_frequency(config, frequency);
    if (config.scaling == Scaling::yarn) frequency = yarn_frequency(config, frequency, pair);
    result[static_cast<size_t>(pair)] = static_cast<float>(frequency);
  }
  return result;
}

std::vector<float> frequencies(const RopeConfig& config, int64_t longest) {
  if (config.layout != RopeConfig::Layout::own_ladder) return ladder(config, config.head_dim, longest);
  std::vector<float> result;
  for (const int64_t pairs : config.sections) {
    const std::vector<float> own = ladder(config, 2 * pairs, longest);
    result.insert(result.end(), own.begin(), own.end());
  }
  return result;
}

/// The axis that turns each pair.
std::vector<size_t> axes_of(const RopeConfig& config) {
  const size_t pairs = static_cast<size_t>(config.head_dim / 2), axes = config.sections.size();
  std::vector<size_t> turned_by;
  if (config.layout != RopeConfig::Layout::interleaved) {
    for (size_t axis = 0; axis < axes; ++axis)
      turned_by.insert(turned_by.end(), static_cast<size_t>(config.sections[axis]), axis);
  }
  turned_by.resize(pairs, 0);
  if (config.layout != RopeConfig::Layout::interleaved) return turned_by;
  for (size_t pair = 0; pair < pairs && axes > 0; ++pair) {
    const size_t axis = pair % axes;
    if (pair < axes * static_cast<size_t>(config.sections[axis])) turned_by[pair] = axis;
  }
  return turned_by;
}

void check(const RopeConfig& config, size_t axes) {
  require(config.head_dim > 0 && config.head_dim % 2 == 0, Fault::bad_file, "rope: the head dimension is ",
          config.head_dim, ", it must be even");
  require(config.layout != RopeConfig::Layout::own_ladder || !config.sections.empty(), Fault::bad_file,
          "rope: each axis has frequencies of its own, but there are no sections");
  if (config.sections.empty()) return;
  const bool positive = std::all_of(config.sections.begin(), config.sections.end(), [](int64_t n) { return n > 0; });
  const int64_t sum = std::accumulate(config.sections.begin(), config.sections.end(), int64_t{0});
  require(positive && sum == config.head_dim / 2, Fault::bad_file, "rope: the sections have ", sum,
          " pairs in all, a head has ", config.head_dim / 2);
  require(axes == 1 || axes == config.sections.size(), Fault::internal, "rope: places on ", axes, " axes, ",
          config.sections.size(), " sections");
}

float amplitude(const RopeConfig& config) {
  if (config.scaling != Scaling::yarn) return 1.0f;
  if (config.attention_factor > 0) return static_cast<float>(config.attention_factor);
  return static_cast<float>(config.factor <= 1 ? 1.0 : 0.1 * std::log(config.factor) + 1.0);
}

}  // namespace

double llama3_frequency(const RopeConfig& config, double frequency) {
  const double wavelength = kTwoPi / frequency, positions = static_cast<double>(config.original_positions);
  if (wavelength < positions / config.high_freq_factor) return frequency;
  if (wavelength > positions / config.low_freq_factor) return frequency / config.factor;
  const double blend =
      (positions / wavelength - config.low_freq_factor) / (config.high_freq_factor - config.low_freq_factor);
  return (1 - blend) * frequency / config.factor + blend * frequency;
}

Places some_places(const Places& all, int64_t begin, int64_t end) {
  Places some;
  for (const std::vector<int64_t>& axis : all) some.emplace_back(axis.begin() + begin, axis.begin() + end);
  return some;
}

RopeAngles RopeAngles::rows(const Tensor& index) const {
  return {cosine.index_select(0, index), sine.index_select(0, index)};
}

RopeAngles RopeAngles::to(const Tensor& like) const {
  const at::ScalarType type = like.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return {cosine.to(like.device(), type), sine.to(like.device(), type)};
}

RopeAngles rope_angles(const RopeConfig& config, const Places& places) {
  check(config, places.size());
  const int64_t rows = places.empty() ? 0 : static_cast<int64_t>(places.front().size()), half = config.head_dim / 2;
  int64_t longest = 0;
  for (const std::vector<int64_t>& axis : places)
    longest = axis.empty() ? longest : std::max(longest, *std::max_element(axis.begin(), axis.end()) + 1);
  const std::vector<float> frequency = frequencies(config, longest);
  const std::vector<size_t> axis =
      places.size() > 1 ? axes_of(config) : std::vector<size_t>(static_cast<size_t>(half), 0);
  const float scale = amplitude(config);
  RopeAngles angles{at::empty({rows, half}, at::kFloat), at::empty({rows, half}, at::kFloat)};
  float *cosine = angles.cosine.mutable_data_ptr<float>(), *sine = angles.sine.mutable_data_ptr<float>();
  at::parallel_for(0, rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (size_t i = 0; i < axis.size(); ++i) {
        const float angle = static_cast<float>(places[axis[i]][static_cast<size_t>(row)]) * frequency[i];
        cosine[row * half + static_cast<int64_t>(i)] = std::cos(angle) * scale;
        sine[row * half + static_cast<int64_t>(i)] = std::sin(angle) * scale;
      }
    }
  });
  return angles;
}

RopeAngles rope_angles(const RopeConfig& config, std::span<const int64_t> places) {
  return rope_angles(config, Places{{places.begin(), places.end()}});
}

Tensor rotate(Tensor x, const RopeAngles& angles) {
  const int64_t rows = x.size(0), heads = x.size(1), width = x.size(2);
  require(angles.cosine.size(0) == rows && angles.cosine.size(1) * 2 == width, Fault::internal, "rotate: ", rows,
          " rows of ", width, ", angles for ", angles.cosine.size(0), " rows of ", angles.cosine.size(1) * 2);
  if (at::GradMode::is_enabled() && x.requires_grad()) return rotate_node(x, angles);
  if (takes_gpu_kernels(x) && takes_gpu_kernels(angles.cosine) && x.stride(1) == width) {
    gpu_rotate(x, angles);
    return x;
  }
  if (!takes_own_loops(x) || !takes_own_loops(angles.cosine)) {
    const RopeAngles wide = angles.to(x);
    const Tensor cosine = wide.cosine.unsqueeze(1), sine = wide.sine.unsqueeze(1);
    const auto halves = x.chunk(2, -1);
    return at::cat({halves[0] * cosine - halves[1] * sine, halves[1] * cosine + halves[0] * sine}, -1)
        .to(x.scalar_type());
  }
  float* data = x.mutable_data_ptr<float>();
  const float *cosine = angles.cosine.const_data_ptr<float>(), *sine = angles.sine.const_data_ptr<float>();
  at::parallel_for(0, rows, grain_rows(heads * width), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      rotate_row(data + row * heads * width, cosine + row * width / 2, sine + row * width / 2, heads, width);
    }
  });
  return x;
}

}  // namespace lithe::ops

#include "ops/row_gemm.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "ops/half_kernels.h"
#include "ops/row_gemm_kernels.h"

namespace lithe::ops {
namespace {

/// Depth of a block: a panel of x (32 columns) is then 128 KB, a block of weights 224 KB, both at home in the
/// second-level cache.
constexpr int64_t kDepth = 1024;
/// Register blocks of weight rows that share a panel of x while it is near.
constexpr int64_t kBlocksAtOnce = 4;

/// x as the kernel wants it: block by block of depth, panel by panel, k by k, the panel's rows side by side; missing
/// rows are 0.
class PackedRows {
 public:
  PackedRows(const float* x, int64_t rows, int64_t width, int64_t panel)
      : rows_(rows),
        width_(width),
        panel_(panel),
        panels_((rows + panel - 1) / panel),
        data_(static_cast<size_t>(panels_ * panel * width)) {
    at::parallel_for(0, panels_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) pack(x, p);
    });
  }

  int64_t panels() const { return panels_; }
  /// [depth of the block, panel]
  const float* block(int64_t first_k, int64_t panel) const {
    const int64_t depth = std::min(kDepth, width_ - first_k);
    return data_.data() + first_k * panels_ * panel_ + panel * panel_ * depth;
  }

 private:
  void pack(const float* x, int64_t p) {
    const int64_t columns = std::min(panel_, rows_ - p * panel_);
    for (int64_t first = 0; first < width_; first += kDepth) {
      float* out = const_cast<float*>(block(first, p));
      const int64_t depth = std::min(kDepth, width_ - first);
      for (int64_t c = 0; c < columns; ++c) {
        const float* in = x + (p * panel_ + c) * width_ + first;
        for (int64_t k = 0; k < depth; ++k) out[k * panel_ + c] = in[k];
      }
    }
  }

  int64_t rows_, width_, panel_, panels_;
  std::vector<float> data_;
};

/// Rows of a block stand this far apart: rows a power of two apart would all fall into one set of the first-level
/// cache.
constexpr int64_t kBlockStride = kDepth + 16;

/// Copies weights of rows [first_out, first_out + outs), columns [first_k, first_k + depth) as float32.
void copy_block(const WeightView& weight, int64_t first_out, int64_t outs, int64_t first_k, int64_t depth,
                float* block) {
  const HalfKind kind = weight.kind == WeightKind::bfloat16 ? HalfKind::bfloat16 : HalfKind::float16;
  for (int64_t o = 0; o < outs; ++o, block += kBlockStride) {
    const int64_t offset = (first_out + o) * weight.width + first_k;
    if (weight.kind == WeightKind::float32) {
      std::copy_n(static_cast<const float*>(weight.data) + offset, depth, block);
    } else {
      widen(kind, static_cast<const uint16_t*>(weight.data) + offset, depth, block);
    }
  }
}

/// All rows of x times the weight rows [first, last).
class Stripe {
 public:
  Stripe(const PackedRows& x, int64_t rows, const WeightView& weight, float* y, const RowGemmKernel& kernel)
      : x_(x),
        rows_(rows),
        weight_(weight),
        y_(y),
        kernel_(kernel),
        block_(static_cast<size_t>(kernel.max_outs * kBlocksAtOnce * kBlockStride)) {}

  void run(int64_t first, int64_t last) {
    const int64_t step = kernel_.max_outs * kBlocksAtOnce;
    for (int64_t out = first; out < last; out += step) run_block(out, std::min(step, last - out));
  }

 private:
  void run_block(int64_t first_out, int64_t outs) {
    const int64_t panel_floats = outs * kernel_.panel;
    sums_.assign(static_cast<size_t>(x_.panels() * panel_floats), 0.0f);
    for (int64_t k = 0; k < weight_.width; k += kDepth) {
      const int64_t depth = std::min(kDepth, weight_.width - k);
      copy_block(weight_, first_out, outs, k, depth, block_.data());
      for (int64_t p = 0; p < x_.panels(); ++p) {
        for (int64_t o = 0; o < outs; o += kernel_.max_outs) {
          kernel_.add(block_.data() + o * kBlockStride, kBlockStride, x_.block(k, p), depth,
                      std::min(kernel_.max_outs, outs - o), sums_.data() + p * panel_floats + o * kernel_.panel);
        }
      }
    }
    write(first_out, outs);
  }

  /// sums: [panels, outs, panel] -> y: [rows, all outs]
  void write(int64_t first_out, int64_t outs) {
    for (int64_t row = 0; row < rows_; ++row) {
      const float* in = sums_.data() + row / kernel_.panel * outs * kernel_.panel + row % kernel_.panel;
      float* out = y_ + row * weight_.outs + first_out;
      for (int64_t o = 0; o < outs; ++o) out[o] = in[o * kernel_.panel];
    }
  }

  const PackedRows& x_;
  const int64_t rows_;
  const WeightView& weight_;
  float* y_;
  const RowGemmKernel& kernel_;
  std::vector<float> block_, sums_;
};

}  // namespace

bool has_row_gemm() {
  return row_gemm_kernel().add != nullptr;
}

void row_gemm(const float* x, int64_t rows, const WeightView& weight, float* y) {
  const RowGemmKernel& kernel = row_gemm_kernel();
  const PackedRows packed(x, rows, weight.width, kernel.panel);
  const int64_t step = kernel.max_outs * kBlocksAtOnce, steps = (weight.outs + step - 1) / step;
  at::parallel_for(0, steps, 1, [&](int64_t begin, int64_t end) {
    Stripe(packed, rows, weight, y, kernel).run(begin * step, std::min(end * step, weight.outs));
  });
}

}  // namespace lithe::ops

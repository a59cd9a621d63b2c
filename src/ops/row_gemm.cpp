#include "ops/row_gemm.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "ops/row_gemm_kernels.h"
#include "ops/weight_kernels.h"

namespace lithe::ops {
namespace {

/// Depth of a block: a panel of x (32 columns) is then 128 KB, a block of weights 224 KB, which both fit into the
/// second-level cache.
constexpr int64_t kDepth = 1024;
/// Register blocks of weight rows that share a panel of x while it is in the caches.
constexpr int64_t kBlocksAtOnce = 4;

constexpr int64_t whole_chunks(int64_t columns) {
  return (columns + kChunk - 1) / kChunk * kChunk;
}

/// x in the kernel's order: block by block of depth, panel by panel, k by k, the panel's rows side by side. Missing
/// rows, and what is missing of the last chunk, are 0.
class RowPanels {
 public:
  RowPanels(const float* x, int64_t rows, int64_t width, int64_t panel)
      : rows_(rows),
        width_(width),
        panel_(panel),
        panels_((rows + panel - 1) / panel),
        data_(static_cast<size_t>(panels_ * panel * whole_chunks(width))) {
    at::parallel_for(0, panels_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) pack(x + p * panel_ * width_, p);
    });
  }

  int64_t panels() const { return panels_; }
  int64_t columns(int64_t panel) const { return std::min(panel_, rows_ - panel * panel_); }
  /// [whole chunks of the block, panel]
  const float* block(int64_t first_k, int64_t panel) const { return data_.data() + offset(first_k, panel); }

 private:
  int64_t offset(int64_t first_k, int64_t panel) const {
    const int64_t depth = std::min(kDepth, whole_chunks(width_) - first_k);
    return first_k * panels_ * panel_ + panel * panel_ * depth;
  }

  void pack(const float* x, int64_t p) {
    for (int64_t first = 0; first < width_; first += kDepth) {
      const int64_t depth = std::min(kDepth, width_ - first);
      pack_block(x + first, depth, columns(p), data_.data() + offset(first, p));
    }
  }

  /// A chunk at a time, so that it stays in the caches until it is complete.
  void pack_block(const float* x, int64_t depth, int64_t columns, float* out) const {
    for (int64_t k = 0; k < depth; k += kChunk, out += kChunk * panel_) {
      const int64_t count = std::min(kChunk, depth - k);
      for (int64_t c = 0; c < columns; ++c) {
        const float* in = x + c * width_ + k;
        for (int64_t i = 0; i < count; ++i) out[i * panel_ + c] = in[i];
      }
    }
  }

  int64_t rows_, width_, panel_, panels_;
  std::vector<float> data_;
};

/// Copies weights of rows [first_out, first_out + outs), columns [first_k, first_k + depth) as float32 in the kernel's
/// order, chunk by chunk and in it row by row, so that they are read as one stream.  -> [whole chunks, outs, kChunk]
void copy_block(const WeightView& weight, int64_t first_out, int64_t outs, int64_t first_k, int64_t depth,
                float* block) {
  std::array<float, kDepth> wide;
  for (int64_t o = 0; o < outs; ++o, block += kChunk) {
    const void* stored = weight.at(first_out + o, first_k);
    if (weight.kind != WeightKind::float32) widen(weight.kind, stored, depth, wide.data());
    const float* in = weight.kind == WeightKind::float32 ? static_cast<const float*>(stored) : wide.data();
    float* out = block;
    int64_t k = 0;
    for (; k + kChunk <= depth; k += kChunk, out += outs * kChunk) std::memcpy(out, in + k, kChunk * sizeof(float));
    if (k < depth) std::fill(std::copy(in + k, in + depth, out), out + kChunk, 0.0f);
  }
}

/// All rows of x times the weight rows [first, last).
class Stripe {
 public:
  Stripe(const RowPanels& x, int64_t rows, const WeightView& weight, float* y, const RowGemmKernel& kernel,
         int64_t first, int64_t last)
      : x_(x),
        rows_(rows),
        weight_(weight),
        y_(y),
        kernel_(kernel),
        first_(first),
        last_(last),
        block_(static_cast<size_t>(kernel.max_outs * kBlocksAtOnce * kDepth)) {}

  void run() {
    const int64_t step = kernel_.max_outs * kBlocksAtOnce;
    for (int64_t out = first_; out < last_; out += step) run_outs(out, std::min(step, last_ - out));
  }

 private:
  void run_outs(int64_t first_out, int64_t outs) {
    sums_.assign(static_cast<size_t>(x_.panels() * outs * kernel_.panel), 0.0f);
    for (int64_t k = 0; k < weight_.width; k += kDepth) run_block(first_out, outs, k);
    write(first_out, outs);
  }

  void run_block(int64_t first_out, int64_t outs, int64_t first_k) {
    const int64_t depth = std::min(kDepth, weight_.width - first_k), whole = whole_chunks(depth);
    for (int64_t o = 0; o < outs; o += kernel_.max_outs) {
      copy_block(weight_, first_out + o, std::min(kernel_.max_outs, outs - o), first_k, depth,
                 block_.data() + o * whole);
    }
    Ahead next = block_after(first_out, outs, first_k);
    const int64_t calls = x_.panels() * ((outs + kernel_.max_outs - 1) / kernel_.max_outs);
    const int64_t rows_a_call = (next.rows + calls - 1) / calls;
    next.lines = lines_a_chunk(rows_a_call * next.row_bytes, whole / kChunk);
    for (int64_t p = 0; p < x_.panels(); ++p) {
      for (int64_t o = 0; o < outs; o += kernel_.max_outs) {
        const Ahead part = take_rows(next, rows_a_call);
        kernel_.add(block_.data() + o * whole, x_.block(first_k, p), whole, std::min(kernel_.max_outs, outs - o),
                    x_.columns(p), part, sums_.data() + (p * outs + o) * kernel_.panel);
      }
    }
  }

  /// The weights that are copied after this block.
  Ahead block_after(int64_t first_out, int64_t outs, int64_t first_k) const {
    first_k += kDepth;
    if (first_k >= weight_.width) {
      first_k = 0;
      first_out += outs;
      outs = std::min(kernel_.max_outs * kBlocksAtOnce, last_ - first_out);
    }
    if (outs == 0) return {};
    const int64_t bytes = bytes_of(weight_.kind);
    return {weight_.at(first_out, first_k), outs, std::min(kDepth, weight_.width - first_k) * bytes,
            weight_.width * bytes};
  }

  /// Cache lines to prefetch with every chunk, so that one call covers its bytes; a power of two, because rows are cut
  /// into such parts.
  static int64_t lines_a_chunk(int64_t bytes, int64_t chunks) {
    constexpr int64_t kLineBytes = 64, kMost = 32;
    int64_t lines = 1;
    while (lines < kMost && lines * chunks * kLineBytes < bytes) lines *= 2;
    return lines;
  }

  static Ahead take_rows(Ahead& from, int64_t rows) {
    Ahead part = from;
    part.rows = std::min(rows, from.rows);
    from.row += part.rows * from.stride;
    from.rows -= part.rows;
    return part;
  }

  /// sums: [panels, outs, panel] -> y: [rows, all outs]
  void write(int64_t first_out, int64_t outs) {
    for (int64_t row = 0; row < rows_; ++row) {
      const float* in = sums_.data() + row / kernel_.panel * outs * kernel_.panel + row % kernel_.panel;
      float* out = y_ + row * weight_.outs + first_out;
      for (int64_t o = 0; o < outs; ++o) out[o] = in[o * kernel_.panel];
    }
  }

  const RowPanels& x_;
  const int64_t rows_;
  const WeightView& weight_;
  float* y_;
  const RowGemmKernel& kernel_;
  const int64_t first_, last_;
  std::vector<float> block_, sums_;
};

}  // namespace

bool has_row_gemm() {
  return row_gemm_kernel().add != nullptr;
}

void row_gemm(const float* x, int64_t rows, const WeightView& weight, float* y) {
  const RowGemmKernel& kernel = row_gemm_kernel();
  const RowPanels packed(x, rows, weight.width, kernel.panel);
  const int64_t step = kernel.max_outs * kBlocksAtOnce, steps = (weight.outs + step - 1) / step;
  at::parallel_for(0, steps, 1, [&](int64_t begin, int64_t end) {
    Stripe(packed, rows, weight, y, kernel, begin * step, std::min(end * step, weight.outs)).run();
  });
}

}  // namespace lithe::ops

#include "ops/row_gemm.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "ops/gemm_panels.h"
#include "ops/prefetch.h"
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

/// Values of x whose panels are kept at once, so that the outer caches hold them; but copying the weights has to pay
/// for so many rows at least.
constexpr int64_t kValuesAtOnce = int64_t{1} << 20, kLeastRows = 192, kLeastRowsTurned = 512;

/// A left factor of float32, [rows, width]; turned: it lies as [width, rows].
struct Rows {
  const float* data;
  int64_t rows, width;
  bool turned = false;
};

/// x in the kernel's order: block by block of depth, panel by panel, k by k, the panel's rows side by side. Missing
/// rows, and what is missing of the last chunk, are 0.
class RowPanels {
 public:
  RowPanels(const Rows& x, int64_t first, int64_t rows, int64_t panel)
      : x_(x),
        first_(first),
        rows_(rows),
        panel_(panel),
        panels_((rows + panel - 1) / panel),
        data_(new float[static_cast<size_t>(panels_ * panel * whole_chunks(x.width))]) {
    at::parallel_for(0, panels_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) pack(p);
    });
  }

  int64_t rows() const { return rows_; }
  int64_t panels() const { return panels_; }
  int64_t columns(int64_t panel) const { return std::min(panel_, rows_ - panel * panel_); }
  /// [whole chunks of the block, panel]
  const float* block(int64_t first_k, int64_t panel) const { return data_.get() + offset(first_k, panel); }

 private:
  int64_t offset(int64_t first_k, int64_t panel) const {
    const int64_t depth = std::min(kDepth, whole_chunks(x_.width) - first_k);
    return first_k * panels_ * panel_ + panel * panel_ * depth;
  }

  void pack(int64_t p) {
    for (int64_t first = 0; first < x_.width; first += kDepth) {
      const int64_t depth = std::min(kDepth, x_.width - first), row = first_ + p * panel_;
      float* const out = data_.get() + offset(first, p);
      if (columns(p) < panel_ || depth % kChunk != 0) std::fill_n(out, whole_chunks(depth) * panel_, 0.0f);
      if (x_.turned)
        pack_turned(x_.data + first * x_.rows + row, depth, columns(p), out);
      else
        pack_block(x_.data + row * x_.width + first, depth, columns(p), out);
    }
  }

  /// A chunk at a time, so that it stays in the caches until it is complete.
  void pack_block(const float* x, int64_t depth, int64_t columns, float* out) const {
    for (int64_t k = 0; k < depth; k += kChunk, out += kChunk * panel_) {
      const int64_t count = std::min(kChunk, depth - k);
      for (int64_t c = 0; c < columns; ++c) {
        const float* in = x + c * x_.width + k;
        for (int64_t i = 0; i < count; ++i) out[i * panel_ + c] = in[i];
      }
    }
  }

  void pack_turned(const float* x, int64_t depth, int64_t columns, float* out) const {
    for (int64_t k = 0; k < depth; ++k, out += panel_) std::copy_n(x + k * x_.rows, columns, out);
  }

  const Rows& x_;
  int64_t first_, rows_, panel_, panels_;
  std::unique_ptr<float[]> data_;
};

/// The right factor, [outs, depth]; turned: it lies as [depth, outs].
struct Factor {
  WeightView weight;
  bool turned = false;

  int64_t outs() const { return turned ? weight.width : weight.outs; }
  int64_t depth() const { return turned ? weight.outs : weight.width; }
};

/// Copies weights of rows [first_out, first_out + outs), columns [first_k, first_k + depth) as float32 in the kernel's
/// order, chunk by chunk and in it row by row, so that they are read as one stream.  -> [whole chunks, outs, kChunk]
void copy_block(const WeightView& weight, int64_t first_out, int64_t outs, int64_t first_k, int64_t depth,
                float* block) {
  std::array<float, kDepth> wide;
  for (int64_t o = 0; o < outs; ++o, block += kChunk) {
    const bool is_wide = weight.kind == WeightKind::float32;
    if (!is_wide) widen(weight, first_out + o, first_k, depth, wide.data());
    const void* stored = weight.at(first_out + o, first_k);
    const float* in = is_wide ? static_cast<const float*>(stored) : wide.data();
    float* out = block;
    int64_t k = 0;
    for (; k + kChunk <= depth; k += kChunk, out += outs * kChunk) std::memcpy(out, in + k, kChunk * sizeof(float));
    if (k < depth) std::fill(std::copy(in + k, in + depth, out), out + kChunk, 0.0f);
  }
}

/// Columns [first, first + count) of one row of weights as float32: where they lie, or copied. `room` holds them, and
/// up to kCodeBlock more, since codes are read from the beginning of a block.
const float* some_columns(const WeightView& weight, int64_t row, int64_t first, int64_t count, float* room) {
  if (weight.kind == WeightKind::float32) return static_cast<const float*>(weight.data) + row * weight.width + first;
  const int64_t before = first % kCodeBlock;
  widen(weight, row, first - before, count + before, room);
  return room + before;
}

/// As copy_block, of a turned factor and for all rows of a step: one block after another, each of up to `most` rows.
void copy_turned(const WeightView& weight, int64_t first_out, int64_t outs, int64_t most, int64_t first_k,
                 int64_t depth, float* blocks) {
  static constexpr std::array<float, kMostOuts * kBlocksAtOnce> kZeros{};
  std::array<float, kCodeBlock + kMostOuts * kBlocksAtOnce> room;
  const int64_t whole = whole_chunks(depth);
  for (int64_t k = 0; k < whole; ++k) {
    const float* in = k < depth ? some_columns(weight, first_k + k, first_out, outs, room.data()) : kZeros.data();
    for (int64_t block = 0; block < outs; block += most, in += most) {
      const int64_t count = std::min(most, outs - block);
      float* const out = blocks + block * whole + k / kChunk * count * kChunk + k % kChunk;
      for (int64_t o = 0; o < count; ++o) out[o * kChunk] = in[o];
    }
  }
}

/// All rows of x times the weight rows [first, last).
class Stripe {
 public:
  Stripe(const RowPanels& x, const Factor& factor, float* y, const RowGemmKernel& kernel, int64_t first, int64_t last)
      : x_(x),
        factor_(factor),
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
    for (int64_t k = 0; k < factor_.depth(); k += kDepth) run_block(first_out, outs, k);
    write_panels(sums_.data(), kernel_.panel, x_.rows(), outs, y_ + first_out, factor_.outs());
  }

  void run_block(int64_t first_out, int64_t outs, int64_t first_k) {
    const int64_t depth = std::min(kDepth, factor_.depth() - first_k), whole = whole_chunks(depth);
    copy(first_out, outs, first_k, depth);
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

  void copy(int64_t first_out, int64_t outs, int64_t first_k, int64_t depth) {
    const int64_t most = kernel_.max_outs;
    if (factor_.turned) return copy_turned(factor_.weight, first_out, outs, most, first_k, depth, block_.data());
    for (int64_t o = 0; o < outs; o += most) {
      copy_block(factor_.weight, first_out + o, std::min(most, outs - o), first_k, depth,
                 block_.data() + o * whole_chunks(depth));
    }
  }

  /// The weights that are copied after this block.
  Ahead block_after(int64_t first_out, int64_t outs, int64_t first_k) const {
    first_k += kDepth;
    if (first_k >= factor_.depth()) {
      first_k = 0;
      first_out += outs;
      outs = std::min(kernel_.max_outs * kBlocksAtOnce, last_ - first_out);
    }
    if (outs == 0) return {};
    const WeightView& weight = factor_.weight;
    const int64_t depth = std::min(kDepth, factor_.depth() - first_k), stride = weight.bytes(weight.width);
    if (factor_.turned) return {weight.at(first_k, first_out), depth, weight.bytes(outs), stride};
    return {weight.at(first_out, first_k), outs, weight.bytes(depth), stride};
  }

  /// Cache lines to prefetch with every chunk, so that one call covers its bytes; a power of two, because rows are cut
  /// into such parts.
  static int64_t lines_a_chunk(int64_t bytes, int64_t chunks) {
    constexpr int64_t kMost = 32;
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

  const RowPanels& x_;
  const Factor& factor_;
  float* y_;
  const RowGemmKernel& kernel_;
  const int64_t first_, last_;
  std::vector<float> block_, sums_;
};

/// Rows whose panels are kept at once.
int64_t most_rows(const Rows& x, const Factor& factor) {
  const int64_t least = factor.turned ? kLeastRowsTurned : kLeastRows;
  return std::max(kValuesAtOnce / std::max<int64_t>(x.width, 1), least);
}

/// y = x factor^T
void multiply(const Rows& x, const Factor& factor, float* y) {
  const RowGemmKernel& kernel = row_gemm_kernel();
  const int64_t outs = factor.outs(), some = rows_at_once(x.rows, kernel.panel, most_rows(x, factor));
  for (int64_t first = 0; first < x.rows; first += some) {
    const RowPanels packed(x, first, std::min(some, x.rows - first), kernel.panel);
    for_stripes(outs, kernel.max_outs, [&](int64_t begin, int64_t end) {
      Stripe(packed, factor, y + first * outs, kernel, begin, end).run();
    });
  }
}

}  // namespace

bool has_row_gemm() {
  return row_gemm_kernel().add != nullptr;
}

void row_gemm(const float* x, int64_t rows, const WeightView& weight, float* y) {
  multiply({x, rows, weight.width}, {weight}, y);
}

void row_gemm_for_rows(const float* y, int64_t rows, const WeightView& weight, float* x) {
  multiply({y, rows, weight.outs}, {weight, true}, x);
}

void row_gemm_for_weight(const float* y, const float* x, int64_t rows, int64_t outs, int64_t width, float* weight) {
  multiply({y, outs, rows, true}, {{.data = x, .outs = rows, .width = width}, true}, weight);
}

}  // namespace lithe::ops

#include "ops/tile_gemm.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/vector_set.h"
#include "ops/bfloat16.h"
#include "ops/tile_gemm_kernels.h"
#include "ops/weight_kernels.h"

namespace lithe::ops {
namespace {

/// Tiles deep: a panel of x is then 64 KB, a pair of out tiles 32 KB (a term): the first two caches hold both.
constexpr int64_t kSteps = 16, kTermDepth = kSteps * kTileDepth;
/// Out tiles that share a panel of x while it is in the caches.
constexpr int64_t kOutTiles = 16;
constexpr int64_t kPanelRows = kMostTiles * kTileSide;

constexpr int64_t tiles_of(int64_t count, int64_t side) {
  return (count + side - 1) / side;
}

/// Room for `count` values, on the cache lines that tiles are read by.
at::Tensor room(int64_t count, at::ScalarType type) {
  return at::empty({count}, type);
}

/// Nearest, ties to even; NaN stays NaN.
inline uint16_t rounded(float value) {
  constexpr uint16_t kNotANumber = 0x7FC0;
  const auto bits = std::bit_cast<uint32_t>(value);
  return value == value ? static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) : kNotANumber;
}

/// first + second = value, with an error under 2^-16 of it. The second term of an infinity is 0.
LITHE_VECTORISED void split_loop(const float* values, int64_t count, uint16_t* first, uint16_t* second) {
  for (int64_t i = 0; i < count; ++i) {
    first[i] = rounded(values[i]);
    const float rest = values[i] - widen_bfloat16(first[i]);
    second[i] = rest == rest ? rounded(rest) : uint16_t{0};
  }
}

void split(const float* values, int64_t count, uint16_t* first, uint16_t* second) {
  run_vectorised<split_loop>(values, count, first, second);
}

/// x as tiles: block by block of depth, panel by panel, step by step, the first terms of both row tiles and then the
/// second. Missing rows and columns are 0.
class TiledRows {
 public:
  TiledRows(const float* x, int64_t rows, int64_t width)
      : rows_(rows),
        width_(width),
        panels_(tiles_of(rows, kPanelRows)),
        steps_(tiles_of(width, kTileDepth)),
        tiles_(room(panels_ * steps_ * kStepWords, at::kUInt16)),
        data_(tiles_.mutable_data_ptr<uint16_t>()) {
    at::parallel_for(0, panels_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; ++panel) pack(x, panel);
    });
  }

  int64_t panels() const { return panels_; }
  int64_t row_tiles(int64_t panel) const {
    return tiles_of(std::min(kPanelRows, rows_ - panel * kPanelRows), kTileSide);
  }
  const uint16_t* block(int64_t first_step, int64_t panel) const { return data_ + offset(first_step, panel); }

 private:
  static constexpr int64_t kStepWords = 2 * kMostTiles * kTileWords;

  int64_t offset(int64_t first_step, int64_t panel) const {
    const int64_t steps = std::min(kSteps, steps_ - first_step);
    return (first_step * panels_ + panel * steps) * kStepWords;
  }

  void pack(const float* x, int64_t panel) {
    const int64_t columns = steps_ * kTileDepth, rows = std::min(kPanelRows, rows_ - panel * kPanelRows);
    const at::Tensor terms = room(2 * columns, at::kUInt16);
    uint16_t* const first = terms.mutable_data_ptr<uint16_t>();
    uint16_t* const second = first + columns;
    std::fill(first, second + columns, uint16_t{0});
    for (int64_t row = 0; row < row_tiles(panel) * kTileSide; ++row) {
      if (row < rows)
        split(x + (panel * kPanelRows + row) * width_, width_, first, second);
      else if (row == rows)
        std::fill(first, second + columns, uint16_t{0});
      for (int64_t block = 0; block < steps_; block += kSteps) {
        uint16_t* out = data_ + offset(block, panel) + row / kTileSide * kTileWords + row % kTileSide * 2;
        for (int64_t step = block; step < std::min(block + kSteps, steps_); ++step, out += kStepWords) {
          turn(first + step * kTileDepth, out);
          turn(second + step * kTileDepth, out + kMostTiles * kTileWords);
        }
      }
    }
  }

  /// One row becomes one column of pairs.
  static void turn(const uint16_t* row, uint16_t* tile) {
    for (int64_t pair = 0; pair < kTileDepth / 2; ++pair)
      std::memcpy(tile + pair * kTileDepth, row + 2 * pair, 2 * sizeof(uint16_t));
  }

  int64_t rows_, width_, panels_, steps_;
  at::Tensor tiles_;
  uint16_t* data_;
};

/// All rows of x times some out tiles of weights, at most kOutTiles at a time.
class TileStripe {
 public:
  TileStripe(const TiledRows& x, int64_t rows, const WeightView& weight, float* y)
      : x_(x),
        rows_(rows),
        weight_(weight),
        y_(y),
        terms_(weight.kind == WeightKind::bfloat16 ? 1 : 2),
        block_(room(kOutTiles * terms_ * kSteps * kTileWords, at::kUInt16)),
        sums_(room(kOutTiles * row_tiles() * kTileSums, at::kFloat)) {}

  void run(int64_t first_out) {
    const int64_t tiles = std::min(kOutTiles, tiles_of(weight_.outs - first_out, kTileSide));
    sums_.zero_();
    const int64_t all = tiles_of(weight_.width, kTileDepth);
    for (int64_t step = 0; step < all; step += kSteps) add_block(first_out, tiles, step, std::min(kSteps, all - step));
    write(first_out, std::min(tiles * kTileSide, weight_.outs - first_out));
  }

 private:
  int64_t row_tiles() const { return x_.panels() * kMostTiles; }
  uint16_t* block() const { return block_.mutable_data_ptr<uint16_t>(); }
  float* sums() const { return sums_.mutable_data_ptr<float>(); }

  void add_block(int64_t first_out, int64_t tiles, int64_t first_step, int64_t steps) {
    for (int64_t tile = 0; tile < tiles; ++tile) {
      uint16_t* const out = block() + tile * terms_ * steps * kTileWords;
      for (int64_t row = 0; row < kTileSide; ++row)
        copy_row(first_out + tile * kTileSide + row, first_step, steps, out + row * kTileDepth);
    }
    for (int64_t panel = 0; panel < x_.panels(); ++panel) {
      for (int64_t tile = 0; tile < tiles; tile += kMostTiles) {
        add_tiles({.weights = block() + tile * terms_ * steps * kTileWords,
                   .weight_terms = terms_,
                   .x = x_.block(first_step, panel),
                   .steps = steps,
                   .sums = sums() + (tile * row_tiles() + panel * kMostTiles) * kTileSums,
                   .sums_stride = row_tiles() * kTileSums},
                  std::min(kMostTiles, tiles - tile), x_.row_tiles(panel));
      }
    }
  }

  /// A row of weights into its row of the tiles, step by step.
  void copy_row(int64_t out, int64_t first_step, int64_t steps, uint16_t* tile) const {
    const int64_t first = first_step * kTileDepth,
                  columns = out < weight_.outs ? std::min(steps * kTileDepth, weight_.width - first) : 0;
    uint16_t terms[2][kTermDepth];
    if (columns < steps * kTileDepth) std::memset(terms, 0, sizeof(terms));
    if (columns > 0 && terms_ == 1) {
      std::memcpy(terms[0], weight_.at(out, first), static_cast<size_t>(columns) * sizeof(uint16_t));
    } else if (columns > 0) {
      float wide[kTermDepth];
      widen(weight_, out, first, columns, wide);
      split(wide, columns, terms[0], terms[1]);
    }
    for (int64_t term = 0; term < terms_; ++term) {
      for (int64_t step = 0; step < steps; ++step)
        std::memcpy(tile + (term * steps + step) * kTileWords, terms[term] + step * kTileDepth,
                    kTileDepth * sizeof(uint16_t));
    }
  }

  /// Sums are [outs, rows], y is [rows, outs].
  void write(int64_t first_out, int64_t outs) {
    for (int64_t row = 0; row < rows_; ++row) {
      const float* in = sums() + row / kTileSide * kTileSums + row % kTileSide;
      float* out = y_ + row * weight_.outs + first_out;
      for (int64_t o = 0; o < outs; ++o)
        out[o] = in[o / kTileSide * row_tiles() * kTileSums + o % kTileSide * kTileSide];
    }
  }

  const TiledRows& x_;
  const int64_t rows_;
  const WeightView& weight_;
  float* y_;
  const int64_t terms_;
  at::Tensor block_, sums_;
};

}  // namespace

bool has_tile_gemm() {
  return vector_set() == VectorSet::amx;
}

void tile_gemm(const float* x, int64_t rows, const WeightView& weight, float* y) {
  const TiledRows tiled(x, rows, weight.width);
  const int64_t step = kOutTiles * kTileSide, stripes = tiles_of(weight.outs, step);
  at::parallel_for(0, stripes, 1, [&](int64_t begin, int64_t end) {
    TileStripe stripe(tiled, rows, weight, y);
    begin_tiles();
    for (int64_t i = begin; i < end; ++i) stripe.run(i * step);
    end_tiles();
  });
}

}  // namespace lithe::ops

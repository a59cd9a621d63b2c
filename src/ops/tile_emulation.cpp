#include "ops/tile_emulation.h"

#include <array>
#include <cstring>

#include "base/vector_set.h"
#include "ops/bfloat16.h"

namespace lithe::ops {
namespace {

/// One instruction: sums[out][row] += the products of 16 pairs of columns.
LITHE_VECTORISED void multiply_loop(const uint16_t* weights, const uint16_t* x, float* sums) {
  for (int64_t out = 0; out < kTileSide; ++out, sums += kTileSide) {
    const uint16_t* const columns = weights + out * kTileDepth;
    for (int64_t k = 0; k < kTileDepth; k += 2) {
      const float first = widen_bfloat16(columns[k]), second = widen_bfloat16(columns[k + 1]);
      std::array<uint32_t, kTileSide> pairs;  // of each row, the two columns as one word
      std::memcpy(pairs.data(), x + k * kTileSide, sizeof(pairs));
      for (size_t row = 0; row < pairs.size(); ++row)
        sums[row] += first * widen_bfloat16(pairs[row] & 0xFFFF) + second * widen_bfloat16(pairs[row] >> 16);
    }
  }
}

/// A tile of weights times one of x, for the terms that add_tiles multiplies.
void add_step(const uint16_t* weights, int64_t term, int64_t terms, const uint16_t* x, float* sums) {
  constexpr int64_t kSecondTerm = kMostTiles * kTileWords;
  run_vectorised<multiply_loop>(weights, x + kSecondTerm, sums);
  run_vectorised<multiply_loop>(weights, x, sums);
  if (terms == 2) run_vectorised<multiply_loop>(weights + term, x, sums);
}

}  // namespace

void add_tiles_emulated(const TileBlock& block, int64_t outs, int64_t rows) {
  const int64_t term = block.steps * kTileWords;
  for (int64_t step = 0; step < block.steps; ++step) {
    const uint16_t* const x = block.x + step * 2 * kMostTiles * kTileWords;
    for (int64_t out = 0; out < outs; ++out) {
      const uint16_t* const weights = block.weights + out * block.weight_terms * term + step * kTileWords;
      for (int64_t row = 0; row < rows; ++row)
        add_step(weights, term, block.weight_terms, x + row * kTileWords,
                 block.sums + out * block.sums_stride + row * kTileSums);
    }
  }
}

}  // namespace lithe::ops

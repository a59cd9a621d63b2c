#pragma once

#include <cstdint>

namespace lithe::ops {

/// Tiles of AMX: 16 rows of 64 bytes. A tile of weights is 16 outs by 32 columns of bfloat16; a tile of x is 16 rows,
/// turned so that a pair of columns is one row of the tile; a tile of sums is 16 outs by 16 rows of float32.
constexpr int64_t kTileSide = 16, kTileDepth = 32, kTileWords = kTileSide * kTileDepth;
constexpr int64_t kTileSums = kTileSide * kTileSide;

/// The widest block of sums that a kernel holds in registers: two tiles of outs by two of rows.
constexpr int64_t kMostTiles = 2;

/// Operands of one call: `steps` tiles deep.
struct TileBlock {
  const uint16_t* weights = nullptr;  ///< Of out tile o, term t, step s: at ((o * terms + t) * steps + s) tiles.
  int64_t weight_terms = 1;           ///< 1, or 2 if a weight is the sum of two bfloat16.
  const uint16_t* x = nullptr;        ///< Of step s, term t (always two), row tile r: at ((s * 2 + t) * 2 + r) tiles.
  int64_t steps = 0;
  float* sums = nullptr;    ///< Of out tile o, row tile r: at o * sums_stride + r * kTileSums.
  int64_t sums_stride = 0;  ///< In floats.
};

/// Adds the products of a block of `outs` by `rows` tiles (each 1 or 2) to its sums. If weights have two terms, the
/// product of both second terms, under 2^-18 of the whole, is left out. Call it between
/// begin_tiles and end_tiles of the same thread. Without VectorSet::amx, plain loops do the same.
void add_tiles(const TileBlock& block, int64_t outs, int64_t rows);

void begin_tiles();
void end_tiles();

}  // namespace lithe::ops

#pragma once

#include <cstdint>

#include "ops/tile_gemm_kernels.h"

namespace lithe::ops {

/// add_tiles in plain loops, for processors without tiles: the same operands in the same order, for tests of what is
/// built on tiles.
void add_tiles_emulated(const TileBlock& block, int64_t outs, int64_t rows);

}  // namespace lithe::ops

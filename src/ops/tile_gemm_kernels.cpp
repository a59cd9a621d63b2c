#include "ops/tile_gemm_kernels.h"

#include "base/vector_set.h"
#include "ops/tile_emulation.h"

#if defined(__x86_64__) && defined(__linux__)
#define LITHE_HAS_TILES 1
#include <immintrin.h>
#endif

namespace lithe::ops {

#if defined(LITHE_HAS_TILES)

namespace {

#define LITHE_TILES __attribute__((target("amx-tile,amx-bf16")))

// Registers: 0 to 3 sums of (out tile, row tile), 4 and 5 weights, 6 and 7 x.
constexpr int64_t kRowBytes = 64, kTileBytes = 1024;

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {kRowBytes, kRowBytes, kRowBytes, kRowBytes, kRowBytes, kRowBytes, kRowBytes, kRowBytes};
  uint8_t rows[16] = {kTileSide, kTileSide, kTileSide, kTileSide, kTileSide, kTileSide, kTileSide, kTileSide};
};
static_assert(sizeof(TileConfig) == 64);

template <int kOuts, int kRows>
LITHE_TILES inline __attribute__((always_inline)) void multiply() {
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (kRows == 2) _tile_dpbf16ps(1, 4, 7);
  if constexpr (kOuts == 2) _tile_dpbf16ps(2, 5, 6);
  if constexpr (kOuts == 2 && kRows == 2) _tile_dpbf16ps(3, 5, 7);
}

template <int kRows>
LITHE_TILES inline __attribute__((always_inline)) void load_x(const char* x) {
  _tile_loadd(6, x, kRowBytes);
  if constexpr (kRows == 2) _tile_loadd(7, x + kTileBytes, kRowBytes);
}

template <int kOuts>
LITHE_TILES inline __attribute__((always_inline)) void load_weights(const char* weights, int64_t stride) {
  _tile_loadd(4, weights, kRowBytes);
  if constexpr (kOuts == 2) _tile_loadd(5, weights + stride, kRowBytes);
}

template <int kOuts, int kRows>
LITHE_TILES void add(const TileBlock& block) {
  float* const second = block.sums + block.sums_stride;
  _tile_loadd(0, block.sums, kRowBytes);
  if constexpr (kRows == 2) _tile_loadd(1, block.sums + kTileSums, kRowBytes);
  if constexpr (kOuts == 2) _tile_loadd(2, second, kRowBytes);
  if constexpr (kOuts == 2 && kRows == 2) _tile_loadd(3, second + kTileSums, kRowBytes);
  const char* weights = reinterpret_cast<const char*>(block.weights);
  const char* x = reinterpret_cast<const char*>(block.x);
  const int64_t term = block.steps * kTileBytes, stride = block.weight_terms * term;
  for (int64_t step = 0; step < block.steps; ++step, weights += kTileBytes, x += 4 * kTileBytes) {
    load_weights<kOuts>(weights, stride);
    load_x<kRows>(x + 2 * kTileBytes);
    multiply<kOuts, kRows>();
    load_x<kRows>(x);
    multiply<kOuts, kRows>();
    if (block.weight_terms == 1) continue;
    load_weights<kOuts>(weights + term, stride);
    multiply<kOuts, kRows>();
  }
  _tile_stored(0, block.sums, kRowBytes);
  if constexpr (kRows == 2) _tile_stored(1, block.sums + kTileSums, kRowBytes);
  if constexpr (kOuts == 2) _tile_stored(2, second, kRowBytes);
  if constexpr (kOuts == 2 && kRows == 2) _tile_stored(3, second + kTileSums, kRowBytes);
}

}  // namespace

void add_tiles(const TileBlock& block, int64_t outs, int64_t rows) {
  if (vector_set() != VectorSet::amx) return add_tiles_emulated(block, outs, rows);
  if (outs == 2) return rows == 2 ? add<2, 2>(block) : add<2, 1>(block);
  return rows == 2 ? add<1, 2>(block) : add<1, 1>(block);
}

namespace {

LITHE_TILES void configure() {
  static constexpr TileConfig kConfig;
  _tile_loadconfig(&kConfig);
}

LITHE_TILES void release() {
  _tile_release();
}

}  // namespace

void begin_tiles() {
  if (vector_set() == VectorSet::amx) configure();
}

void end_tiles() {
  if (vector_set() == VectorSet::amx) release();
}

#else

void add_tiles(const TileBlock& block, int64_t outs, int64_t rows) {
  add_tiles_emulated(block, outs, rows);
}
void begin_tiles() {}
void end_tiles() {}

#endif

}  // namespace lithe::ops

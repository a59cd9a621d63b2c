#include "ops/attend_kernels.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "base/vector_set.h"
#include "ops/attend_pairs.h"
#include "ops/bfloat16.h"

namespace lithe::ops {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
/// Query rows that share each load of keys and values: as many as the registers hold, with the vectors below.
constexpr int kMostRows = 6;
/// With few rows, memory is the limit, so keys and values are prefetched: the processor's own prefetching ends at every
/// page.
constexpr int kFewRows = 2;
constexpr int64_t kAheadBytes = 2048;

template <int kLanes>
struct Types {
  typedef float Floats __attribute__((vector_size(kLanes * 4)));
  typedef int32_t Ints __attribute__((vector_size(kLanes * 4)));
  typedef uint32_t Words __attribute__((vector_size(kLanes * 4)));
  typedef uint16_t Halves __attribute__((vector_size(kLanes * 2)));
  typedef float FloatsAnywhere __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));
  typedef uint16_t HalvesAnywhere __attribute__((vector_size(kLanes * 2), aligned(2), may_alias));
  typedef int8_t BytesAnywhere __attribute__((vector_size(kLanes), aligned(1), may_alias));
};
template <int kLanes>
using Floats = typename Types<kLanes>::Floats;

template <int kLanes>
LITHE_VECTORISED Floats<kLanes> load(const float* at) {
  return *reinterpret_cast<const typename Types<kLanes>::FloatsAnywhere*>(at);
}

/// bfloat16 is the upper half of a float32.
template <int kLanes>
LITHE_VECTORISED Floats<kLanes> load(const uint16_t* at) {
  using Words = typename Types<kLanes>::Words;
  const typename Types<kLanes>::Halves halves = *reinterpret_cast<const typename Types<kLanes>::HalvesAnywhere*>(at);
  return reinterpret_cast<Floats<kLanes>>(__builtin_convertvector(halves, Words) << 16);
}

template <int kLanes>
LITHE_VECTORISED Floats<kLanes> load(const int8_t* at) {
  return __builtin_convertvector(*reinterpret_cast<const typename Types<kLanes>::BytesAnywhere*>(at), Floats<kLanes>);
}

LITHE_VECTORISED float load_one(const float* at) {
  return *at;
}
LITHE_VECTORISED float load_one(const int8_t* at) {
  return *at;
}
LITHE_VECTORISED float load_one(const uint16_t* at) {
  return widen_bfloat16(*at);
}

template <int kLanes>
LITHE_VECTORISED void store(const Floats<kLanes>& value, float* at) {
  *reinterpret_cast<typename Types<kLanes>::FloatsAnywhere*>(at) = value;
}

/// exp(x) for x <= 0 as in row_loops.cpp, but exactly 0 below -87, so that a hidden key has no weight. NaN stays
/// NaN.
template <int kLanes>
LITHE_VECTORISED Floats<kLanes> exp_of(const Floats<kLanes>& x) {
  using Ints = typename Types<kLanes>::Ints;
  const Floats<kLanes> lowest = Floats<kLanes>{} - 87.0f;
  const Floats<kLanes> clamped = x < lowest ? lowest : x;
  const Floats<kLanes> n = (clamped * 1.44269504f + 12582912.0f) - 12582912.0f;  // 1.5 * 2^23 rounds to an integer
  const Floats<kLanes> r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  Floats<kLanes> p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const Floats<kLanes> scale = reinterpret_cast<Floats<kLanes>>((__builtin_convertvector(n, Ints) + 127) << 23);
  return x < lowest ? Floats<kLanes>{} : p * scale;
}

/// A row of keys or values for kRows queries; if these are few, what is read later is prefetched.
template <int kLanes, int kRows, int kVectors, class Stored>
LITHE_VECTORISED void load_ahead(const Stored* row, Floats<kLanes>* loaded) {
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
    if constexpr (kRows <= kFewRows) {
      if (v * kLanes * sizeof(Stored) % 64 == 0)
        __builtin_prefetch(reinterpret_cast<const char*>(row + v * kLanes) + kAheadBytes);
    }
    loaded[v] = load<kLanes>(row + v * kLanes);
  }
}

/// scores[r][j] = dot(queries[r], key j) for kRows rows and all keys of a block.  keys: [width, kBlockRows]
template <int kLanes, int kRows, class Key>
LITHE_VECTORISED void score_rows(const float* queries, int64_t width, const Key* keys, float* scores) {
  constexpr int kVectors = kLanes == 16 ? 4 : kRows == 1 ? 8 : 2;
  for (int64_t first = 0; first < kBlockRows; first += kVectors * kLanes) {
    Floats<kLanes> sum[kRows][kVectors] = {};
    for (int64_t i = 0; i < width; ++i) {
      const Key* row = keys + i * kBlockRows + first;
      Floats<kLanes> key[kVectors];
      load_ahead<kLanes, kRows, kVectors>(row, key);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) sum[r][v] += key[v] * queries[r * width + i];
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) store<kLanes>(sum[r][v], scores + r * kBlockRows + first + v * kLanes);
    }
  }
}

/// out[r][c] += sum over keys [begin, end) of weights[r][j] * values[j][c], for kVectors vectors of columns.
template <int kLanes, int kRows, int kVectors, class Value>
LITHE_VECTORISED void weigh_columns(const float* weights, int64_t begin, int64_t end, const Value* values,
                                    int64_t width, float* out) {
  Floats<kLanes> sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[r][v] = load<kLanes>(out + r * width + v * kLanes);
  }
  for (int64_t j = begin; j < end; ++j) {
    const Value* row = values + j * width;
    Floats<kLanes> value[kVectors];
    load_ahead<kLanes, kRows, kVectors>(row, value);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r][v] += value[v] * weights[r * kBlockRows + j];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) store<kLanes>(sum[r][v], out + r * width + v * kLanes);
  }
}

/// The same for all columns.
template <int kLanes, int kRows, class Value>
LITHE_VECTORISED void weigh_rows(const float* weights, int64_t begin, int64_t end, const Value* values, int64_t width,
                                 float* out) {
  constexpr int kVectors = kLanes == 16 ? (kRows <= 2 ? 8 : 4) : (kRows == 1 ? 8 : 2);
  int64_t column = 0;
  for (; column + kVectors * kLanes <= width; column += kVectors * kLanes)
    weigh_columns<kLanes, kRows, kVectors>(weights, begin, end, values + column, width, out + column);
  for (; column + kLanes <= width; column += kLanes)
    weigh_columns<kLanes, kRows, 1>(weights, begin, end, values + column, width, out + column);
  for (; column < width; ++column) {
    for (int r = 0; r < kRows; ++r) {
      float sum = out[r * width + column];
      for (int64_t j = begin; j < end; ++j) sum += load_one(values + j * width + column) * weights[r * kBlockRows + j];
      out[r * width + column] = sum;
    }
  }
}

template <int kLanes>
LITHE_VECTORISED float largest(const Floats<kLanes>& v) {
  float lanes[kLanes];
  store<kLanes>(v, lanes);
#pragma GCC unroll 4
  for (int half = kLanes / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) lanes[i] = lanes[i] < lanes[i + half] ? lanes[i + half] : lanes[i];
  }
  return lanes[0];
}

template <int kLanes>
LITHE_VECTORISED float total(const Floats<kLanes>& v) {
  float lanes[kLanes];
  store<kLanes>(v, lanes);
#pragma GCC unroll 4
  for (int half = kLanes / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

/// Turns the scores of one row into weights exp(score - peak), 0 for keys outside [begin, end), and brings what was
/// summed so far to the new peak.
template <int kLanes>
LITHE_VECTORISED void soften(float* scores, int64_t begin, int64_t end, const AttendTile& tile, int64_t row) {
  for (int64_t j = 0; j < begin; ++j) scores[j] = -kInfinity;
  for (int64_t j = end; j < kBlockRows; ++j) scores[j] = -kInfinity;
  Floats<kLanes> most = load<kLanes>(scores);
  for (int64_t j = kLanes; j < kBlockRows; j += kLanes) {
    const Floats<kLanes> more = load<kLanes>(scores + j);
    most = most < more ? more : most;
  }
  const float old = tile.peak[row], here = largest<kLanes>(most), peak = old < here ? here : old;
  Floats<kLanes> sum = {};
  for (int64_t j = 0; j < kBlockRows; j += kLanes) {
    const Floats<kLanes> weight = exp_of<kLanes>(load<kLanes>(scores + j) - peak);
    sum += weight;
    store<kLanes>(weight, scores + j);
  }
  if (old == peak) {
    tile.sum[row] += total<kLanes>(sum);
    return;
  }
  const float factor = exp_of<kLanes>(Floats<kLanes>{} + (old - peak))[0];
  tile.sum[row] = tile.sum[row] * factor + total<kLanes>(sum);
  tile.peak[row] = peak;
  float* out = tile.out + row * tile.width;
  int64_t i = 0;
  for (; i + kLanes <= tile.width; i += kLanes) store<kLanes>(load<kLanes>(out + i) * factor, out + i);
  for (; i < tile.width; ++i) out[i] *= factor;
}

/// Multiplies each row of scores or weights with the scales of keys or values, [kBlockRows].
template <int kLanes, int kRows>
LITHE_VECTORISED void scale_rows(float* rows, const float* scales) {
  for (int64_t j = 0; j < kBlockRows; j += kLanes) {
    const Floats<kLanes> scale = load<kLanes>(scales + j);
    for (int r = 0; r < kRows; ++r)
      store<kLanes>(load<kLanes>(rows + r * kBlockRows + j) * scale, rows + r * kBlockRows + j);
  }
}

/// The scales of a head's keys, and after them those of its values.
LITHE_VECTORISED const float* scales_of(const int8_t* key_values, int64_t width) {
  return reinterpret_cast<const float*>(key_values + 2 * kBlockRows * width);
}

/// Rows [first, first + kRows) of a tile.  key_values: the block's keys, then its values, as floats or as stored.
template <int kLanes, int kRows, class Stored>
LITHE_VECTORISED void attend_rows(const AttendTile& tile, int64_t first, const Stored* key_values,
                                  const HeadBlock& block) {
  float* scores = tile.scores + first * kBlockRows;
  score_rows<kLanes, kRows>(tile.queries + first * tile.width, tile.width, key_values, scores);
  constexpr bool kCoded = std::is_same_v<Stored, int8_t>;
  if constexpr (kCoded) scale_rows<kLanes, kRows>(scores, scales_of(key_values, tile.width));
  int64_t begin = kBlockRows, end = 0;
  for (int r = 0; r < kRows; ++r) {
    const Visible& visible = tile.visible[first + r];
    const int64_t from = std::clamp<int64_t>(visible.begin - block.first, 0, block.rows);
    const int64_t to = std::clamp<int64_t>(visible.end - block.first, 0, block.rows);
    if (from >= to) {
      for (int64_t j = 0; j < kBlockRows; ++j) scores[r * kBlockRows + j] = 0;
      continue;
    }
    soften<kLanes>(scores + r * kBlockRows, from, to, tile, first + r);
    begin = std::min(begin, from);
    end = std::max(end, to);
  }
  if (begin >= end) return;
  if constexpr (kCoded) scale_rows<kLanes, kRows>(scores, scales_of(key_values, tile.width) + kBlockRows);
  weigh_rows<kLanes, kRows>(scores, begin, end, key_values + kBlockRows * tile.width, tile.width,
                            tile.out + first * tile.width);
}

template <int kLanes, class Stored>
LITHE_VECTORISED void attend_all_rows(const AttendTile& tile, const Stored* key_values, const HeadBlock& block) {
  int64_t row = 0;
  for (; row + kMostRows <= tile.rows; row += kMostRows) attend_rows<kLanes, kMostRows>(tile, row, key_values, block);
  switch (tile.rows - row) {
    case 5:
      return attend_rows<kLanes, 5>(tile, row, key_values, block);
    case 4:
      return attend_rows<kLanes, 4>(tile, row, key_values, block);
    case 3:
      return attend_rows<kLanes, 3>(tile, row, key_values, block);
    case 2:
      return attend_rows<kLanes, 2>(tile, row, key_values, block);
    case 1:
      return attend_rows<kLanes, 1>(tile, row, key_values, block);
    default:
      return;
  }
}

/// The block as floats, in the same order.
template <int kLanes>
LITHE_VECTORISED void widen(const uint16_t* stored, int64_t width, float* to) {
  const int64_t count = 2 * kBlockRows * width;  // a multiple of every kLanes
  for (int64_t i = 0; i < count; i += kLanes) store<kLanes>(load<kLanes>(stored + i), to + i);
}

template <int kLanes>
LITHE_VECTORISED void widen(const int8_t* stored, int64_t width, float* to) {
  const float *key_scales = scales_of(stored, width), *value_scales = key_scales + kBlockRows;
  for (int64_t i = 0; i < width; ++i, stored += kBlockRows, to += kBlockRows) {
    for (int64_t j = 0; j < kBlockRows; j += kLanes)
      store<kLanes>(load<kLanes>(stored + j) * load<kLanes>(key_scales + j), to + j);
  }
  for (int64_t j = 0; j < kBlockRows; ++j, stored += width, to += width)
    for (int64_t c = 0; c < width; ++c) to[c] = value_scales[j] * load_one(stored + c);
}

/// Few rows read the block as it is stored.
template <int kLanes, class Stored>
LITHE_VECTORISED void attend_stored(const AttendTile& tile, const HeadBlock& block) {
  const auto* stored = static_cast<const Stored*>(block.data);
  if (tile.rows <= kMostRows) return attend_all_rows<kLanes>(tile, stored, block);
  widen<kLanes>(stored, tile.width, tile.widened);
  attend_all_rows<kLanes>(tile, static_cast<const float*>(tile.widened), block);
}

template <int kLanes>
LITHE_VECTORISED void attend(const AttendTile& tile, const HeadBlock& block) {
  switch (block.kind) {
    case KeyValueKind::float32:
      return attend_all_rows<kLanes>(tile, static_cast<const float*>(block.data), block);
    case KeyValueKind::bfloat16:
      return attend_stored<kLanes, uint16_t>(tile, block);
    case KeyValueKind::int8:
      return attend_stored<kLanes, int8_t>(tile, block);
  }
}

}  // namespace

void attend_to_block(const AttendTile& tile, const HeadBlock& block) {
  if (block.kind == KeyValueKind::bfloat16 && attends_in_pairs(tile.rows)) return attend_to_pairs(tile, block);
#if defined(__x86_64__)
  if (vector_set() >= VectorSet::avx512)
    return run_avx512<attend<16>, const AttendTile&, const HeadBlock&>(tile, block);
  if (vector_set() == VectorSet::avx2) return run_avx2<attend<8>, const AttendTile&, const HeadBlock&>(tile, block);
#endif
  attend<4>(tile, block);
}

}  // namespace lithe::ops

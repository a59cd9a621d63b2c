#include "image/resize.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/vector_set.h"

namespace lithe::image {
namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;             // As in PIL: 8 bits of value, 2 of headroom for negative lobes.
constexpr int64_t kMaxResizedSide = int64_t{1} << 20;  // Bounds the table of coefficients, some 6 a source pixel.
constexpr int64_t kMaxResultPixels = int64_t{1} << 28;

struct Filter {
  double (*at)(double x);
  double support;
};

double box_at(double x) {
  return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

double bilinear_at(double x) {
  return std::max(0.0, 1.0 - std::abs(x));
}

double hamming_at(double x) {
  x = std::abs(x);
  if (x == 0.0) return 1.0;
  if (x >= 1.0) return 0.0;
  x *= std::numbers::pi;
  return std::sin(x) / x * (0.54 + 0.46 * std::cos(x));
}

double bicubic_at(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos_at(double x) {
  return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

Filter filter_of(Resample resample) {
  switch (resample) {
    case Resample::lanczos:
      return {lanczos_at, 3.0};
    case Resample::bilinear:
      return {bilinear_at, 1.0};
    case Resample::box:
      return {box_at, 0.5};
    case Resample::hamming:
      return {hamming_at, 1.0};
    default:
      return {bicubic_at, 2.0};
  }
}

/// Which source pixels make one result pixel, and by how much.
struct Taps {
  int64_t stride = 0;            ///< Room for coefficients of each result pixel.
  std::vector<int64_t> first;    ///< [count]
  std::vector<int64_t> length;   ///< [count]
  std::vector<int32_t> weights;  ///< [count, stride], in units of 2^-22; zero past `length`.
};

/// Taps of the result pixels begin .. begin + count when `from` pixels become `to`.
Taps make_taps(int64_t from, int64_t to, int64_t begin, int64_t count, const Filter& filter) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double widening = std::max(scale, 1.0);
  const double support = filter.support * widening;
  Taps taps{.stride = std::min(static_cast<int64_t>(std::ceil(support)) * 2 + 1, from)};
  taps.weights.resize(static_cast<std::size_t>(count * taps.stride));
  std::vector<double> exact(static_cast<std::size_t>(taps.stride));
  for (int64_t i = 0; i < count; ++i) {
    const double centre = (static_cast<double>(begin + i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(centre - support + 0.5), 0);
    const int64_t length = std::min<int64_t>(static_cast<int64_t>(centre + support + 0.5), from) - first;
    double sum = 0.0;
    for (int64_t j = 0; j < length; ++j) {
      exact[j] = filter.at((static_cast<double>(j + first) - centre + 0.5) * (1.0 / widening));
      sum += exact[j];
    }
    for (int64_t j = 0; j < length; ++j) {
      const double weight = (sum != 0.0 ? exact[j] / sum : exact[j]) * (1 << kPrecisionBits);
      taps.weights[i * taps.stride + j] = static_cast<int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    taps.first.push_back(first);
    taps.length.push_back(length);
  }
  return taps;
}

constexpr int64_t kStrip = 16;          // Rows that the horizontal pass takes at once, a column of them contiguous.
constexpr int64_t kBlock = 3 * kStrip;  // Long enough that the compiler makes vector loops of it.

/// `out[i]` is the rounded and clipped sum of values[tap * stride + i] * weights[tap].  i < count <= kBlock
LITHE_VECTORISED void weigh_block(const uint8_t* values, int64_t stride, const int32_t* weights, int64_t taps,
                                  int64_t count, uint8_t* out) {
  int32_t sums[kBlock];
  std::fill_n(sums, kBlock, 1 << (kPrecisionBits - 1));
  for (int64_t tap = 0; tap < taps; ++tap) {
    const uint8_t* __restrict row = values + tap * stride;
    for (int64_t i = 0; i < count; ++i) sums[i] += row[i] * weights[tap];
  }
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<uint8_t>(std::clamp(sums[i] >> kPrecisionBits, 0, 255));
}

LITHE_VECTORISED void weigh_loop(const uint8_t* values, int64_t stride, const int32_t* weights, int64_t taps,
                                 int64_t count, uint8_t* out) {
  int64_t i = 0;
  for (; i + kBlock <= count; i += kBlock) weigh_block(values + i, stride, weights, taps, kBlock, out + i);
  if (i < count) weigh_block(values + i, stride, weights, taps, count - i, out + i);
}

/// The base instruction set lacks a product of 32-bit integers: with AVX2 the same code is four times as fast.
void weigh(const uint8_t* values, int64_t stride, const int32_t* weights, int64_t taps, int64_t count, uint8_t* out) {
  run_vectorised<weigh_loop>(values, stride, weights, taps, count, out);
}

/// The vertical pass.  rows: [from, width, 3] -> [count, width, 3]; `offset` is the picture's row that rows[0] holds.
Image filter_columns(const Image& rows, const Taps& taps, int64_t offset) {
  Image out(rows.width, static_cast<int64_t>(taps.first.size()));
  const int64_t bytes = rows.width * 3;
  for (int64_t y = 0; y < out.height; ++y) {
    weigh(rows.row(taps.first[y] - offset), bytes, taps.weights.data() + y * taps.stride, taps.length[y], bytes,
          out.row(y));
  }
  return out;
}

/// Rows [y, y + rows) of `picture` as [width, 3, kStrip], a piece at a time that stays in the nearest cache.
void take_strip(const Image& picture, int64_t y, int64_t rows, std::vector<uint8_t>& strip) {
  constexpr int64_t kPiece = 256;
  const int64_t bytes = picture.width * 3;
  for (int64_t begin = 0; begin < bytes; begin += kPiece) {
    const int64_t end = std::min(begin + kPiece, bytes);
    for (int64_t row = 0; row < rows; ++row) {
      const uint8_t* from = picture.row(y + row);
      for (int64_t i = begin; i < end; ++i) strip[i * kStrip + row] = from[i];
    }
  }
}

/// The horizontal pass over the rows [first, last).  -> [last - first, count, 3]
Image filter_strips(const Image& picture, int64_t first, int64_t last, const Taps& taps) {
  Image out(static_cast<int64_t>(taps.first.size()), last - first);
  std::vector<uint8_t> strip(static_cast<std::size_t>(picture.width * kBlock));
  uint8_t column[kBlock];
  for (int64_t y = first; y < last; y += kStrip) {
    const int64_t rows = std::min(kStrip, last - y);
    take_strip(picture, y, rows, strip);
    for (int64_t x = 0; x < out.width; ++x) {
      weigh(strip.data() + taps.first[x] * kBlock, kBlock, taps.weights.data() + x * taps.stride, taps.length[x],
            kBlock, column);
      for (int64_t i = 0; i < rows * 3; ++i) out.row(y - first + i / 3)[x * 3 + i % 3] = column[i % 3 * kStrip + i / 3];
    }
  }
  return out;
}

/// Columns part.x .. of the rows [first, last) of `picture`, `width` wide after the pass.
Image filter_rows(const Image& picture, int64_t first, int64_t last, int64_t width, const Rect& part,
                  const Filter& filter) {
  if (width != picture.width) {
    return filter_strips(picture, first, last, make_taps(picture.width, width, part.x, part.width, filter));
  }
  Image out(part.width, last - first);
  for (int64_t y = first; y < last; ++y) std::copy_n(picture.row(y) + part.x * 3, part.width * 3, out.row(y - first));
  return out;
}

Image nearest(const Image& picture, Size size, const Rect& part) {
  Image out(part.width, part.height);
  const double step_x = static_cast<double>(picture.width) / static_cast<double>(size.width);
  const double step_y = static_cast<double>(picture.height) / static_cast<double>(size.height);
  for (int64_t y = 0; y < part.height; ++y) {
    const auto from_y = static_cast<int64_t>((static_cast<double>(part.y + y) + 0.5) * step_y);
    for (int64_t x = 0; x < part.width; ++x) {
      const auto from_x = static_cast<int64_t>((static_cast<double>(part.x + x) + 0.5) * step_x);
      std::copy_n(picture.row(from_y) + from_x * 3, 3, out.row(y) + x * 3);
    }
  }
  return out;
}

/// Since Pillow 13 the vertical pass comes first if it takes away more than twice as many rows as the other columns.
/// With the rounding between the passes this moves some values by one grey level.
bool vertical_first(Size from, Size to) {
  const int64_t fewer_rows = from.height - to.height;
  return fewer_rows > 0 && fewer_rows > (from.width - to.width) * 2;
}

}  // namespace

Image resize(const Image& picture, Size size, Resample resample, std::optional<Rect> wanted) {
  require(picture.width > 0 && picture.height > 0, Fault::bad_request, "an empty picture can't be resized");
  const Rect part = wanted.value_or(Rect{0, 0, size.width, size.height});
  require(std::max(picture.width, picture.height) <= kMaxResizedSide, Fault::bad_request, "a picture of ",
          picture.width, " x ", picture.height, " pixels is too long to be resized; at most ", kMaxResizedSide,
          " pixels a side");
  constexpr int64_t kMaxResultSide = int64_t{1} << 31;
  require(size.width > 0 && size.height > 0 && size.width < kMaxResultSide && size.height < kMaxResultSide,
          Fault::bad_request, "a picture of ", picture.width, " x ", picture.height, " pixels can't be resized to ",
          size.width, " x ", size.height);
  require(part.x >= 0 && part.y >= 0 && part.width > 0 && part.height > 0 && part.x + part.width <= size.width &&
              part.y + part.height <= size.height,
          Fault::internal, "resize: the wanted part lies outside of the result");
  const bool fits = part.width <= kMaxResultPixels / std::max(part.height, picture.height) &&
                    part.height <= kMaxResultPixels / picture.width;
  require(fits, Fault::bad_request, "a picture of ", picture.width, " x ", picture.height,
          " pixels is too narrow to be resized to ", size.width, " x ", size.height);
  if (resample == Resample::nearest) return nearest(picture, size, part);
  const Filter filter = filter_of(resample);
  if (size.height == picture.height) {
    return filter_rows(picture, part.y, part.y + part.height, size.width, part, filter);
  }
  const Taps taps = make_taps(picture.height, size.height, part.y, part.height, filter);
  if (vertical_first(picture.size(), size)) {
    return filter_rows(filter_columns(picture, taps, 0), 0, part.height, size.width, part, filter);
  }
  const int64_t first = taps.first.front();
  const int64_t last = taps.first.back() + taps.length.back();  // Both ends only grow from row to row.
  return filter_columns(filter_rows(picture, first, last, size.width, part, filter), taps, first);
}

}  // namespace lithe::image

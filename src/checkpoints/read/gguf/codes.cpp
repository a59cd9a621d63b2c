#include "checkpoints/read/gguf/codes.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"

namespace lithe::models {
namespace {

using io::GgufType;

/// Where the numbers of one block go: codes, and the scale and offset of each group.
struct Target {
  uint8_t* codes;
  float* scales;
  float* offsets;  ///< Null if the type has none.
};

float half_at(const uint8_t* bytes) {
  uint16_t bits = 0;
  std::memcpy(&bits, bytes, sizeof bits);
  return c10::Half(bits, c10::Half::from_bits());
}

constexpr int64_t kBlock = 32;  // of the types without "K", and the groups of most others
constexpr int64_t kSuper = 256;
constexpr float kMiddle4 = 8;  // an int4 code is a half byte less 8

/// scale * half byte - least, as scale * (half byte - 8) + offset.
float offset_of(float scale, float least) {
  return kMiddle4 * scale - least;
}

// The layout of each block is that of ggml-common.h.

/// {half d; uint8 halves[16]}: the first 16 numbers are low halves, as in the blocks of int4.
void put_q4_0(const uint8_t* block, const Target& to) {
  to.scales[0] = half_at(block);
  std::memcpy(to.codes, block + 2, kBlock / 2);
}

/// {half d, m; uint8 halves[16]}
void put_q4_1(const uint8_t* block, const Target& to) {
  to.scales[0] = half_at(block);
  to.offsets[0] = offset_of(to.scales[0], -half_at(block + 2));
  std::memcpy(to.codes, block + 4, kBlock / 2);
}

/// {half d; int8 codes[32]}
void put_q8_0(const uint8_t* block, const Target& to) {
  to.scales[0] = half_at(block);
  std::memcpy(to.codes, block + 2, kBlock);
}

/// A code of 5 bits: four of them in half bytes, the fifth in a mask.
uint8_t five_bits(const uint8_t* halves, const uint8_t* mask, int64_t i) {
  const int low = i < kBlock / 2 ? halves[i] & 15 : halves[i - kBlock / 2] >> 4;
  return static_cast<uint8_t>(low | (mask[i / 8] >> i % 8 & 1) << 4);
}

/// {half d; uint8 mask[4], halves[16]}
void put_q5_0(const uint8_t* block, const Target& to) {
  constexpr int kMiddle5 = 16;
  to.scales[0] = half_at(block);
  for (int64_t i = 0; i < kBlock; ++i)
    to.codes[i] = static_cast<uint8_t>(five_bits(block + 6, block + 2, i) - kMiddle5);
}

/// {half d, m; uint8 mask[4], halves[16]}
void put_q5_1(const uint8_t* block, const Target& to) {
  to.scales[0] = half_at(block);
  to.offsets[0] = half_at(block + 2);
  for (int64_t i = 0; i < kBlock; ++i) to.codes[i] = five_bits(block + 8, block + 4, i);
}

/// Scale and least value of one of the eight groups of a super-block, each of 6 bits. Those of the last four groups are
/// cut in two: low half bytes in bytes 8 to 11, the rest above those of the first four.
struct GroupScale {
  float scale, least;
};
GroupScale group_scale(const uint8_t* block, int64_t group) {
  const uint8_t* const packed = block + 4;
  int scale = packed[group % 4] & 63, least = packed[4 + group % 4] & 63;
  if (group >= 4) {
    scale = (packed[4 + group] & 15) | packed[group - 4] >> 6 << 4;
    least = packed[4 + group] >> 4 | packed[group] >> 6 << 4;
  }
  return {half_at(block) * static_cast<float>(scale), half_at(block + 2) * static_cast<float>(least)};
}

/// {half d, dmin; uint8 scales[12], halves[128]}: the low halves of 32 bytes are a group, the high halves the next.
void put_q4_k(const uint8_t* block, const Target& to) {
  const uint8_t* const halves = block + 16;
  for (int64_t group = 0; group < kSuper / kBlock; ++group) {
    const auto [scale, least] = group_scale(block, group);
    to.scales[group] = scale;
    to.offsets[group] = offset_of(scale, least);
    const uint8_t* const bytes = halves + group / 2 * kBlock;
    const int shift = group % 2 == 0 ? 0 : 4;
    for (int64_t i = 0; i < kBlock / 2; ++i) {
      const int low = bytes[i] >> shift & 15, high = bytes[i + kBlock / 2] >> shift & 15;
      to.codes[group * kBlock / 2 + i] = static_cast<uint8_t>(low | high << 4);
    }
  }
}

/// {half d, dmin; uint8 scales[12], mask[32], halves[128]}: bit g of mask[i] belongs to number i of group g.
void put_q5_k(const uint8_t* block, const Target& to) {
  const uint8_t *const mask = block + 16, *const halves = mask + 32;
  for (int64_t group = 0; group < kSuper / kBlock; ++group) {
    const auto [scale, least] = group_scale(block, group);
    to.scales[group] = scale;
    to.offsets[group] = -least;
    for (int64_t i = 0; i < kBlock; ++i) {
      const int low = halves[group / 2 * kBlock + i] >> (group % 2 == 0 ? 0 : 4) & 15;
      to.codes[group * kBlock + i] = static_cast<uint8_t>(low | (mask[i] >> group & 1) << 4);
    }
  }
}

/// {uint8 halves[128], pairs[64]; int8 scales[16]; half d}: of each 128 numbers, four stretches of 32 share 64 bytes of
/// halves and 32 bytes with two bits for each stretch.
void put_q6_k(const uint8_t* block, const Target& to) {
  constexpr int64_t kHalf = kSuper / 2, kGroup = 16;
  constexpr int kMiddle6 = 32;
  const uint8_t *const pairs = block + kHalf, *const scales = pairs + kSuper / 4;
  const float scale = half_at(scales + kSuper / kGroup);
  for (int64_t i = 0; i < kSuper; ++i) {
    const int64_t part = i / kHalf, stretch = i % kHalf / kBlock, place = i % kBlock;
    const int four = block[part * kHalf / 2 + stretch % 2 * kBlock + place] >> (stretch < 2 ? 0 : 4) & 15;
    const int two = pairs[part * kBlock + place] >> 2 * stretch & 3;
    to.codes[i] = static_cast<uint8_t>((four | two << 4) - kMiddle6);
  }
  for (int64_t group = 0; group < kSuper / kGroup; ++group)
    to.scales[group] = scale * static_cast<float>(static_cast<int8_t>(scales[group]));
}

/// A type of codes, and what holds the same numbers here.
struct CodedType {
  GgufType type;
  ops::WeightKind kind;
  int64_t group;
  bool offsets;
  void (*put)(const uint8_t* block, const Target& to);
};

constexpr std::array kCoded{
    CodedType{GgufType::q4_0, ops::WeightKind::int4, kBlock, false, put_q4_0},
    CodedType{GgufType::q4_1, ops::WeightKind::int4, kBlock, true, put_q4_1},
    CodedType{GgufType::q5_0, ops::WeightKind::int8, kBlock, false, put_q5_0},
    CodedType{GgufType::q5_1, ops::WeightKind::int8, kBlock, true, put_q5_1},
    CodedType{GgufType::q8_0, ops::WeightKind::int8, kBlock, false, put_q8_0},
    CodedType{GgufType::q4_k, ops::WeightKind::int4, kBlock, true, put_q4_k},
    CodedType{GgufType::q5_k, ops::WeightKind::int8, kBlock, true, put_q5_k},
    CodedType{GgufType::q6_k, ops::WeightKind::int8, 16, false, put_q6_k},
};

const CodedType* coded_type(GgufType type) {
  const auto found =
      std::find_if(kCoded.begin(), kCoded.end(), [&](const CodedType& known) { return known.type == type; });
  return found == kCoded.end() ? nullptr : &*found;
}

}  // namespace

bool has_codes(GgufType type) {
  return coded_type(type) != nullptr;
}

ops::LowBit codes_of(const io::GgufTensor& tensor, const std::optional<Interleaved>& order) {
  const CodedType* const known = coded_type(tensor.type);
  require(known != nullptr && tensor.shape.size() == 2, Fault::internal, "a tensor of ", io::name_of(tensor.type),
          " is not a matrix of codes");
  const CodedType& type = *known;
  const io::GgufBlock block = io::block_of(type.type);
  const int64_t outs = tensor.shape[0], width = tensor.shape[1], blocks = width / block.numbers;
  const int64_t code_bytes = block.numbers * ops::bits_of(type.kind) / 8, groups = block.numbers / type.group;
  ops::LowBit made{.kind = type.kind, .width = width, .group = type.group};
  made.codes = at::empty({outs, blocks * code_bytes}, type.kind == ops::WeightKind::int8 ? at::kChar : at::kByte);
  made.scales = at::empty({outs, blocks * groups}, at::kFloat);
  if (type.offsets) made.offsets = at::empty({outs, blocks * groups}, at::kFloat);
  const auto* const from = reinterpret_cast<const uint8_t*>(tensor.bytes.span.data());
  const Target whole{static_cast<uint8_t*>(made.codes.mutable_data_ptr()), made.scales.mutable_data_ptr<float>(),
                     type.offsets ? made.offsets.mutable_data_ptr<float>() : nullptr};
  at::parallel_for(0, outs, std::max<int64_t>(1, 65536 / std::max<int64_t>(width, 1)), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const uint8_t* stored = from + (order ? order->in_file(row) : row) * blocks * block.bytes;
      for (int64_t i = row * blocks; i < (row + 1) * blocks; ++i, stored += block.bytes)
        type.put(stored, {whole.codes + i * code_bytes, whole.scales + i * groups,
                          whole.offsets ? whole.offsets + i * groups : nullptr});
    }
  });
  return made;
}

}  // namespace lithe::models

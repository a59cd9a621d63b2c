#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "io/tensor_view.h"
#include "ops/low_bit.h"

// From the codes of files to those of ops/low_bit.h. The formats differ in where a code lies; what it stands for is the
// same in all of them.
namespace lithe::models {

/// A matrix of codes in a file. Each is a whole number from 0 to 2^bits - 1, and code c of group g stands for
/// scale (c - zero).
struct StoredCodes {
  int64_t bits = 4;                        ///< 4 or 8.
  int64_t outs = 0, width = 0, group = 0;  ///< `group`: columns that share a scale; the last group may be smaller.
  std::function<void(int64_t first, int64_t count, uint8_t* codes)>
      read;           ///< Some rows, [count, width]. Threads call it.
  at::Tensor scales;  ///< [outs, groups] float32
  at::Tensor zeros;   ///< [outs, groups] float32; undefined: all are 2^(bits - 1).

  int64_t groups() const { return (width + group - 1) / group; }
};

/// The same numbers in the order of the kernels. Codes of 4 bits whose width or groups do not fit int4 become int8.
ops::LowBit packed(const StoredCodes& stored);

/// A zero for each row and group.  zero: (out, group) -> a number; -> [outs, groups]
template <class Zero>
at::Tensor zeros_of(const StoredCodes& stored, const Zero& zero) {
  at::Tensor zeros = stored.scales.clone();
  float* to = zeros.mutable_data_ptr<float>();
  for (int64_t out = 0; out < stored.outs; ++out) {
    for (int64_t g = 0; g < stored.groups(); ++g) *to++ = static_cast<float>(zero(out, g));
  }
  return zeros;
}

/// What is added to scale * code when codes count from the middle; undefined if that is 0 everywhere. scales, zeros:
/// [outs, groups]
at::Tensor offsets_of(const at::Tensor& scales, const at::Tensor& zeros, int64_t bits);

/// Columns that share a scale if `width` columns have so many scales. `group` of the config decides if it gives that
/// number, else the groups are equally large; 0 if neither is possible.
int64_t group_of(int64_t width, int64_t groups, int64_t group);

/// "group_size" of the settings of GPTQ and AWQ; 0: all columns share a scale. Throws Error{bad_file}.
int64_t group_size_in(const JsonView& settings, int64_t fallback);

/// The group of a weight whose scales lie as those of GPTQ and AWQ, [groups, outs], with its zeros in words of int32,
/// [groups, outs / codes in a word]. `group`: of the settings. Throws Error{bad_file}. `where`: the weight, for errors.
int64_t checked_group(const StoredCodes& stored, const io::TensorView& scales, const io::TensorView& zeros,
                      int64_t group, const std::string& where);

/// Scales as float32, as they are or transposed.  view: [rows, columns] of F32, F16 or BF16 -> [rows, columns], or
/// [columns, rows]
at::Tensor scales_of(const io::TensorView& view, bool transposed = false);

/// Code number i of a row of little-endian words of 32 bits, the first code in the lowest bits.
inline uint8_t code_at(const std::byte* row, int64_t i, int64_t bits) {
  if (bits == 8) return static_cast<uint8_t>(row[i]);
  const auto byte = static_cast<uint8_t>(row[i / 2]);
  return i % 2 == 0 ? byte & 15 : byte >> 4;
}

/// Which column of the weight each column of codes is, if columns are sorted by group; empty if they lie in the order
/// of the weight. g_idx: [width] int32, the group of each column. Throws Error{bad_file} unless every group has the
/// columns that it should have. `where`: for errors.
std::vector<int64_t> column_order(const io::TensorView& g_idx, int64_t width, int64_t group, const std::string& where);

/// Throws Error{bad_file} unless a part of a packed weight has this type and shape.
void require_part(const io::TensorView& part, io::Dtype dtype, const std::vector<int64_t>& shape,
                  const std::string& where);

}  // namespace lithe::models

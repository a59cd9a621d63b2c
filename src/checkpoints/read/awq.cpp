// AWQ (AutoAWQ), version "gemm": codes of 4 bits in words of 32 bits along the outputs, in an order of their own.
// "qweight" [in, out / 8], "qzeros" [groups, out / 8], "scales" [groups, out].
#include <array>

#include "base/error.h"
#include "base/lower_case.h"
#include "base/printable.h"
#include "checkpoints/read/packed_codes.h"
#include "checkpoints/read/packed_weights.h"
#include "checkpoints/read/tensor_over.h"

namespace lithe::models {
namespace {

using io::Dtype;
using io::TensorView;

constexpr const char* kAwqAdvice =
    "; give a model of AWQ's version gemm with 4 bits and zero points, or the original checkpoint";
constexpr int64_t kInWord = 8;
/// Where in a word output 0, 1, .. 7 is.
constexpr std::array<int, kInWord> kPlaces{0, 4, 1, 5, 2, 6, 3, 7};

/// Columns that share a scale; 0: all of them.
int64_t read_group(const JsonView& settings) {
  const std::string version = in_lower_case(settings.text("version", "gemm"));
  const int64_t bits = settings.integer("bits", 4);
  require(version == "gemm", Fault::bad_file, settings.source(), ": the version ", in_quotes(version),
          " is not supported", kAwqAdvice);
  require(bits == 4, Fault::bad_file, settings.source(), ": codes of ", bits, " bits are not supported", kAwqAdvice);
  require(settings.boolean("zero_point", true), Fault::bad_file, settings.source(),
          ": weights without zero points are not supported", kAwqAdvice);
  return group_size_in(settings, 128);
}

uint8_t code_in(uint32_t word, int64_t out) {
  return word >> (4 * kPlaces[static_cast<size_t>(out % kInWord)]) & 15;
}

/// Some rows of the weight, which are columns of the file. `first` is a multiple of kInWord.
void read_rows(const TensorView& words, const StoredCodes& stored, int64_t first, int64_t count, uint8_t* codes) {
  const auto* const all = reinterpret_cast<const uint32_t*>(words.bytes.data());
  for (int64_t i = 0; i < stored.width; ++i) {
    const uint32_t* const from = all + (i * stored.outs + first) / kInWord;
    for (int64_t row = 0; row < count; ++row) codes[row * stored.width + i] = code_in(from[row / kInWord], row);
  }
}

/// -> [outs, groups]
at::Tensor read_zeros(const TensorView& words, const StoredCodes& stored) {
  const auto* const all = reinterpret_cast<const uint32_t*>(words.bytes.data());
  return zeros_of(stored, [&](int64_t out, int64_t g) { return code_in(all[(g * stored.outs + out) / kInWord], out); });
}

PackedWeight awq_weight(const io::Checkpoint& checkpoint, const std::string& name, int64_t group) {
  const TensorView words = checkpoint.at(name + ".qweight"), scales = checkpoint.at(name + ".scales"),
                   zeros = checkpoint.at(name + ".qzeros");
  const std::string where = words.file + ": " + name;
  const bool fits = words.dtype == Dtype::int32 && words.shape.size() == 2 && words.count() > 0 &&
                    scales.shape.size() == 2 && float_type(scales.dtype);
  require(fits, Fault::bad_file, where, ".qweight is ", io::name_of(words.dtype), " ", io::text_of(words.shape),
          " and .scales ", io::text_of(scales.shape), ", expected I32 [in, out / 8] and [groups, out]");
  StoredCodes stored{.bits = 4, .outs = words.shape[1] * kInWord, .width = words.shape[0]};
  stored.group = checked_group(stored, scales, zeros, group, where);
  const auto codes = [stored, words, scales, zeros]() mutable {
    stored.scales = scales_of(scales, true);
    stored.zeros = read_zeros(zeros, stored);
    stored.read = [&](int64_t first, int64_t count, uint8_t* to) { read_rows(words, stored, first, count, to); };
    return packed(stored);
  };
  return {name + ".weight",
          {stored.outs, stored.width},
          {name + ".qweight", name + ".qzeros", name + ".scales"},
          {},
          codes};
}

}  // namespace

std::vector<PackedWeight> find_awq(const io::Checkpoint& checkpoint, const JsonView& settings) {
  const int64_t group = read_group(settings);
  std::vector<PackedWeight> found;
  for (const std::string& name : modules_with(checkpoint, ".qweight"))
    found.push_back(awq_weight(checkpoint, name, group));
  return found;
}

}  // namespace lithe::models

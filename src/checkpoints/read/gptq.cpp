// GPTQ (AutoGPTQ, GPTQModel): codes of 4 or 8 bits in words of 32 bits along the inputs, column by column of the
// weight. "qweight" [in / codes in a word, out], "scales" [groups, out], "qzeros" [groups, out / codes in a word],
// "g_idx" [in].
#include <algorithm>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/packed_codes.h"
#include "checkpoints/read/packed_weights.h"
#include "checkpoints/read/tensor_over.h"

namespace lithe::models {
namespace {

using io::Dtype;
using io::TensorView;

constexpr const char* kGptqAdvice =
    "; give a model in the format gptq or gptq_v2 with 4 or 8 bits, or the original checkpoint";

struct Settings {
  int64_t bits;
  int64_t group;       ///< 0: one for all columns.
  int64_t zero_added;  ///< The first format stores zeros less 1.
};

Settings read_settings(const JsonView& settings) {
  const std::string format = settings.text("checkpoint_format", "gptq");
  const bool marlin = settings.boolean("is_marlin_format", false);
  require((format == "gptq" || format == "gptq_v2") && !marlin, Fault::bad_file, settings.source(), ": the format ",
          marlin ? "\"marlin\"" : in_quotes(format), " is not supported", kGptqAdvice);
  const int64_t bits = settings.integer("bits");
  require(bits == 4 || bits == 8, Fault::bad_file, settings.source(), ": codes of ", bits, " bits are not supported",
          kGptqAdvice);
  return {bits, group_size_in(settings, -1), format == "gptq" ? 1 : 0};
}

/// Some rows of the weight. A word holds codes of one row, and the words of a column lie one after another.
void read_rows(const TensorView& words, const StoredCodes& stored, const std::vector<int64_t>& order, int64_t first,
               int64_t count, uint8_t* codes) {
  const int64_t in_word = 32 / stored.bits;
  const auto* const all = reinterpret_cast<const uint32_t*>(words.bytes.data());
  const uint32_t mask = (1U << stored.bits) - 1;
  for (int64_t i = 0; i < stored.width; ++i) {
    const int64_t column = order.empty() ? i : order[static_cast<size_t>(i)];
    const uint32_t* const from = all + column / in_word * stored.outs + first;
    const auto shift = static_cast<int>(column % in_word * stored.bits);
    for (int64_t row = 0; row < count; ++row)
      codes[row * stored.width + i] = static_cast<uint8_t>(from[row] >> shift & mask);
  }
}

/// -> [outs, groups]
at::Tensor read_zeros(const TensorView& words, const StoredCodes& stored, int64_t added) {
  const int64_t row_bytes = words.shape[1] * io::size_of(Dtype::int32);
  return zeros_of(stored, [&](int64_t out, int64_t g) {
    return code_at(words.bytes.data() + g * row_bytes, out, stored.bits) + added;
  });
}

/// Old writers left a bias of zeros at every product.
bool is_zero(const TensorView& bias) {
  return std::all_of(bias.bytes.begin(), bias.bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

PackedWeight gptq_weight(const io::Checkpoint& checkpoint, const std::string& name, const Settings& settings) {
  const TensorView words = checkpoint.at(name + ".qweight"), scales = checkpoint.at(name + ".scales"),
                   zeros = checkpoint.at(name + ".qzeros");
  const std::string where = words.file + ": " + name;
  const int64_t in_word = 32 / settings.bits;
  const bool fits = words.dtype == Dtype::int32 && words.shape.size() == 2 && words.count() > 0 &&
                    words.shape[1] % in_word == 0 && scales.shape.size() == 2 && float_type(scales.dtype);
  require(fits, Fault::bad_file, where, ".qweight is ", io::name_of(words.dtype), " ", io::text_of(words.shape),
          " and .scales ", io::text_of(scales.shape), ", expected I32 [in / ", in_word, ", out] and [groups, out]");
  StoredCodes stored{.bits = settings.bits, .outs = words.shape[1], .width = words.shape[0] * in_word};
  stored.group = checked_group(stored, scales, zeros, settings.group, where);
  PackedWeight weight{
      name + ".weight", {stored.outs, stored.width}, {name + ".qweight", name + ".qzeros", name + ".scales"}, {}, {}};
  if (const TensorView* g_idx = checkpoint.find(name + ".g_idx")) {
    weight.order = column_order(*g_idx, stored.width, stored.group, where + ".g_idx");
    weight.parts.push_back(name + ".g_idx");
  }
  const TensorView* const bias = checkpoint.find(name + ".bias");
  if (bias && is_zero(*bias)) weight.parts.push_back(name + ".bias");
  weight.codes = [stored, words, scales, zeros, order = weight.order, added = settings.zero_added]() mutable {
    stored.scales = scales_of(scales, true);
    stored.zeros = read_zeros(zeros, stored, added);
    stored.read = [&](int64_t first, int64_t count, uint8_t* codes) {
      read_rows(words, stored, order, first, count, codes);
    };
    return packed(stored);
  };
  return weight;
}

}  // namespace

std::vector<PackedWeight> find_gptq(const io::Checkpoint& checkpoint, const JsonView& settings) {
  const Settings read = read_settings(settings);
  std::vector<PackedWeight> found;
  for (const std::string& name : modules_with(checkpoint, ".qweight"))
    found.push_back(gptq_weight(checkpoint, name, read));
  return found;
}

}  // namespace lithe::models

// compressed-tensors (vLLM, LLM Compressor): "pack-quantized", codes of 4 or 8 bits in words of 32 bits along the
// inputs, and "int-quantized", one code to a byte. What a module has is seen by its tensors, so lists of targets and of
// modules to ignore need not be matched.
#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/packed_codes.h"
#include "checkpoints/read/packed_weights.h"
#include "checkpoints/read/tensor_over.h"

namespace lithe::models {
namespace {

using io::Dtype;
using io::TensorView;

constexpr std::array kFormats{"pack-quantized", "int-quantized", "naive-quantized", "mixed-precision"};
constexpr const char* kCompressedAdvice =
    "; give a model of which only weights are quantised, to int4 or int8, or the original checkpoint";

void require_format(const JsonView& keys) {
  const std::string format = keys.text("format", kFormats.front());
  require(std::find(kFormats.begin(), kFormats.end(), format) != kFormats.end(), Fault::bad_file, keys.source(),
          ": the format ", in_quotes(format), " is not supported", kCompressedAdvice);
}

void require_whole_numbers(const JsonView& weights) {
  const std::string type = weights.text("type", "int");
  const int64_t bits = weights.integer("num_bits", 8);
  require(type == "int" && (bits == 4 || bits == 8), Fault::bad_file, weights.source(), ": weights of type ",
          in_quotes(type), " with ", bits, " bits are not supported", kCompressedAdvice);
}

/// A line of config_groups: how some modules are quantised.
void require_weights_only(const JsonView& group) {
  for (const char* key : {"input_activations", "output_activations"})
    require(!group.has(key), Fault::bad_file, group.source(), ": activations are quantised too (", key, ")",
            kCompressedAdvice);
  require_format(group);
  if (group.has("weights")) require_whole_numbers(group.object("weights"));
}

void check_settings(const JsonView& settings) {
  require_format(settings);
  for (const char* key : {"kv_cache_scheme", "transform_config"}) {
    const bool used = settings.has(key) && !settings.json()[key].empty();
    require(!used, Fault::bad_file, settings.source(), ": '", key, "' is not supported", kCompressedAdvice);
  }
  if (settings.has("sparsity_config")) {
    const std::string format = settings.object("sparsity_config").text("format", "dense");
    require(format == "dense", Fault::bad_file, settings.source(), ": weights stored sparsely (", in_quotes(format),
            ") are not supported", kCompressedAdvice);
  }
  if (!settings.has("config_groups")) return;
  for (const auto& [name, group] : settings.object("config_groups").json().items()) {
    const std::string source = concat(settings.source(), ": config_groups: ", printable(name));
    // A list names the targets of a preset; the weights of these two are all that is quantised.
    if (group.is_array())
      require(name == "W4A16" || name == "W8A16", Fault::bad_file, source, " is not supported", kCompressedAdvice);
    else
      require_weights_only(JsonView(group, source));
  }
}

/// The tensors of one quantised module.
class PackedModule {
 public:
  PackedModule(const io::Checkpoint& checkpoint, std::string name) : checkpoint_(checkpoint), name_(std::move(name)) {}

  const TensorView* find(const char* part) const { return checkpoint_.find(full(part)); }
  const TensorView& at(const char* part) const { return checkpoint_.at(full(part)); }
  std::string full(const char* part) const { return name_ + part; }
  std::string where(const char* part) const { return checkpoint_.at(full(part)).file + ": " + full(part); }

  /// The tensors that are there, the codes first.
  std::vector<std::string> parts(const char* codes) const {
    std::vector<std::string> names{full(codes)};
    for (const char* part : {".weight_scale", ".weight_zero_point", ".weight_shape", ".weight_g_idx"})
      if (find(part)) names.push_back(full(part));
    return names;
  }

 private:
  const io::Checkpoint& checkpoint_;
  std::string name_;
};

/// Columns that share a scale: a scale for each row and group, for each row, or one for the whole weight.
int64_t group_in(const PackedModule& module, int64_t outs, int64_t width) {
  const TensorView& scale = module.at(".weight_scale");
  const std::vector<int64_t>& shape = scale.shape;
  const bool one = scale.count() == 1, a_row = shape == std::vector<int64_t>{outs};
  const bool groups = shape.size() == 2 && shape[0] == outs;
  const int64_t group = one || a_row ? width : groups ? group_of(width, shape[1], 0) : 0;
  require(group > 0 && float_type(scale.dtype), Fault::bad_file, module.where(".weight_scale"), " is ",
          io::name_of(scale.dtype), " ", io::text_of(shape), ", expected floating point [", outs,
          ", groups], with groups that divide ", width, " columns");
  return group;
}

at::Tensor scales_in(const TensorView& scale, int64_t outs, int64_t groups) {
  return scales_of(scale)
      .reshape({scale.count() == 1 ? 1 : outs, scale.count() == 1 ? 1 : groups})
      .expand({outs, groups})
      .contiguous();
}

/// Zeros counted from 0, as codes are; they are packed along the outputs, or are one signed byte each.  -> [outs,
/// groups]
at::Tensor zeros_in(const TensorView& view, const StoredCodes& stored) {
  const int64_t groups = stored.groups();
  if (view.dtype == Dtype::int8) {
    const std::span<const int8_t> bytes = view.values<int8_t>();
    const int64_t middle = int64_t{1} << (stored.bits - 1);
    return zeros_of(stored, [&](int64_t out, int64_t g) {
      return bytes[bytes.size() == 1 ? 0 : static_cast<size_t>(out * groups + g)] + middle;
    });
  }
  const std::span<const int32_t> words = view.values<int32_t>();
  const int64_t in_word = 32 / stored.bits;
  return zeros_of(stored, [&](int64_t out, int64_t g) {
    const auto word = static_cast<uint32_t>(words[static_cast<size_t>(out / in_word * groups + g)]);
    return word >> (out % in_word * stored.bits) & ((1U << stored.bits) - 1);
  });
}

/// The zero points of a module, checked; absent if every zero is in the middle.
std::optional<TensorView> zero_points(const PackedModule& module, const StoredCodes& stored) {
  constexpr const char* kPart = ".weight_zero_point";
  const TensorView* const view = module.find(kPart);
  if (!view) return std::nullopt;
  const int64_t groups = stored.groups(), in_word = 32 / stored.bits;
  const bool bytes = view->dtype == Dtype::int8 && (view->count() == 1 || view->count() == stored.outs * groups);
  const bool words =
      view->dtype == Dtype::int32 && view->shape == std::vector<int64_t>{(stored.outs + in_word - 1) / in_word, groups};
  require(bytes || words, Fault::bad_file, module.where(kPart), " is ", io::name_of(view->dtype), " ",
          io::text_of(view->shape), ", expected a zero for each of ", stored.outs, " rows and ", groups, " groups");
  return *view;
}

/// "weight_shape": the rows, and the columns before the last word of a row was filled up.
std::pair<int64_t, int64_t> shape_in(const PackedModule& module) {
  constexpr const char* kPart = ".weight_shape";
  const TensorView& view = module.at(kPart);
  require(view.count() == 2 && (view.dtype == Dtype::int64 || view.dtype == Dtype::int32), Fault::bad_file,
          module.where(kPart), " is ", io::name_of(view.dtype), " ", io::text_of(view.shape),
          ", expected two whole numbers");
  if (view.dtype == Dtype::int64) return {view.values<int64_t>()[0], view.values<int64_t>()[1]};
  return {view.values<int32_t>()[0], view.values<int32_t>()[1]};
}

/// 4 or 8, by how many words hold a row.
int64_t bits_in(const PackedModule& module, int64_t outs, int64_t width) {
  const TensorView& codes = module.at(".weight_packed");
  const bool rows =
      codes.dtype == Dtype::int32 && codes.shape.size() == 2 && codes.shape[0] == outs && outs > 0 && width > 0;
  for (const int64_t bits : {4, 8}) {
    const int64_t in_word = 32 / bits;
    if (rows && codes.shape[1] == (width - 1) / in_word + 1) return bits;
  }
  fail(Fault::bad_file, module.where(".weight_packed"), " is ", io::name_of(codes.dtype), " ", io::text_of(codes.shape),
       ", expected I32 with codes of 4 or 8 bits for [", outs, ", ", width, "]");
}

/// One row of codes, columns in this order, or as they lie if there is none.
void read_row(const std::byte* from, const StoredCodes& stored, const std::vector<int64_t>& order, uint8_t* to) {
  if (stored.bits == 4 && stored.width % 2 == 0 && order.empty()) {
    for (int64_t i = 0; i < stored.width / 2; ++i) {
      to[2 * i] = std::to_integer<uint8_t>(from[i]) & 15;
      to[2 * i + 1] = std::to_integer<uint8_t>(from[i]) >> 4;
    }
    return;
  }
  for (int64_t i = 0; i < stored.width; ++i)
    to[i] = code_at(from, order.empty() ? i : order[static_cast<size_t>(i)], stored.bits);
}

PackedWeight pack_quantized(const PackedModule& module) {
  const auto [outs, width] = shape_in(module);
  StoredCodes stored{.bits = bits_in(module, outs, width), .outs = outs, .width = width};
  stored.group = group_in(module, outs, width);
  PackedWeight weight{module.full(".weight"), {outs, width}, module.parts(".weight_packed"), {}, {}};
  if (const TensorView* g_idx = module.find(".weight_g_idx"))
    weight.order = column_order(*g_idx, width, stored.group, module.where(".weight_g_idx"));
  const std::optional<TensorView> zeros = zero_points(module, stored);
  const std::vector<int64_t> order = weight.order;
  const TensorView codes = module.at(".weight_packed"), scale = module.at(".weight_scale");
  weight.codes = [=]() mutable {
    stored.scales = scales_in(scale, stored.outs, stored.groups());
    if (zeros) stored.zeros = zeros_in(*zeros, stored);
    const int64_t row_bytes = codes.shape[1] * io::size_of(Dtype::int32);
    stored.read = [&](int64_t first, int64_t count, uint8_t* to) {
      for (int64_t row = first; row < first + count; ++row, to += stored.width)
        read_row(codes.bytes.data() + row * row_bytes, stored, order, to);
    };
    return packed(stored);
  };
  return weight;
}

PackedWeight int_quantized(const PackedModule& module) {
  const TensorView codes = module.at(".weight"), scale = module.at(".weight_scale");
  require(codes.shape.size() == 2 && codes.count() > 0, Fault::bad_file, module.where(".weight"), " is I8 ",
          io::text_of(codes.shape), ", expected a matrix of codes");
  StoredCodes stored{.bits = 8, .outs = codes.shape[0], .width = codes.shape[1]};
  stored.group = group_in(module, stored.outs, stored.width);
  const std::optional<TensorView> zeros = zero_points(module, stored);
  const auto make = [=]() mutable {
    stored.scales = scales_in(scale, stored.outs, stored.groups());
    ops::LowBit made{.kind = ops::WeightKind::int8, .width = stored.width, .group = stored.group};
    made.codes = codes_over(codes);
    made.scales = stored.scales;
    if (zeros) made.offsets = offsets_of(stored.scales, zeros_in(*zeros, stored), stored.bits);
    return made;
  };
  return {module.full(".weight"), codes.shape, module.parts(".weight"), {}, make};
}

}  // namespace

std::vector<PackedWeight> find_compressed_tensors(const io::Checkpoint& checkpoint, const JsonView& settings) {
  check_settings(settings);
  std::vector<PackedWeight> found;
  for (const std::string& name : modules_with(checkpoint, ".weight_packed"))
    found.push_back(pack_quantized({checkpoint, name}));
  for (const std::string& name : modules_with(checkpoint, ".weight_scale")) {
    const TensorView* const codes = checkpoint.find(name + ".weight");
    if (codes && codes->dtype == Dtype::int8) found.push_back(int_quantized({checkpoint, name}));
  }
  return found;
}

}  // namespace lithe::models

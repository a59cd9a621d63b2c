#include "checkpoints/read/quantised.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/packed_weights.h"

namespace lithe::models {
namespace {

/// A part of a tensor's name that only one method's files have.
struct Trace {
  std::string_view part;
  const char* method;
};
constexpr std::array kTraces{
    Trace{".quant_state.bitsandbytes", "bitsandbytes (4 bits)"},
    Trace{".weight.absmax", "bitsandbytes (4 bits)"},
    Trace{".SCB", "bitsandbytes (8 bits)"},
    Trace{".g_idx", "GPTQ"},
    Trace{".qweight", "GPTQ or AWQ"},
    Trace{".qzeros", "GPTQ or AWQ"},
    Trace{".weight_packed", "compressed-tensors"},
    Trace{".weight_scale_inv", "fp8"},
    Trace{".weight_scale", "fp8 or compressed-tensors"},
    Trace{".W_q", "HQQ"},
    Trace{".codebooks", "AQLM"},
    Trace{".Qidxs", "QuIP#"},
    Trace{".weight._data", "quanto"},
    Trace{".scales", "MLX, GPTQ or AWQ"},
};

bool is_whole_number(io::Dtype dtype) {
  return dtype == io::Dtype::int8 || dtype == io::Dtype::uint8 || dtype == io::Dtype::int16 ||
         dtype == io::Dtype::int32;
}

std::string with_bits(const std::string& method, const JsonView& keys) {
  for (const int64_t bits : {4, 8})
    if (keys.boolean(concat("load_in_", bits, "bit").c_str(), false)) return concat(method, " (", bits, " bits)");
  return keys.has("bits") ? concat(method, " (", keys.json()["bits"].dump().substr(0, 20), " bits)") : method;
}

}  // namespace

std::optional<std::string> quantisation_in(const JsonView& config) {
  if (config.has("quantization_config")) {
    const JsonView keys = config.object("quantization_config");
    const std::string method = keys.text("quant_method", "a method that quantization_config does not name");
    return reads_packed(method) ? std::nullopt : std::optional(with_bits(method, keys));
  }
  if (config.has("quantization")) return with_bits("MLX", config.object("quantization"));
  if (config.has("text_config")) return quantisation_in(config.object("text_config"));
  return std::nullopt;
}

std::optional<std::string> quantisation_in(const io::Checkpoint& checkpoint) {
  const std::vector<std::string> names = checkpoint.names();
  for (const Trace& trace : kTraces) {
    const auto holds = [&](const std::string& name) { return name.find(trace.part) != name.npos; };
    if (std::any_of(names.begin(), names.end(), holds)) return trace.method;
  }
  for (const std::string& name : names) {
    if (!name.ends_with("_proj.weight") && !name.ends_with("lm_head.weight")) continue;
    const io::Dtype dtype = checkpoint.at(name).dtype;
    if (is_whole_number(dtype)) return concat("a method that stores ", io::name_of(dtype), " numbers");
  }
  return std::nullopt;
}

void fail_quantised(const std::string& where, const std::string& method) {
  fail(Fault::bad_file, where, ": the weights are quantised by ", printable(method),
       ", which is not read; give the original checkpoint, from before it was quantised, or one that was quantised to "
       "the format of compressed-tensors, GPTQ or AWQ, with the quantization_config in its config.json");
}

}  // namespace lithe::models

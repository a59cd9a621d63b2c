#include "checkpoints/read/packed_weights.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

struct Format {
  const char* method;  ///< Of quantization_config.
  std::vector<PackedWeight> (*find)(const io::Checkpoint& checkpoint, const JsonView& settings);
};
constexpr std::array kFormats{
    Format{"compressed-tensors", find_compressed_tensors},
    Format{"gptq", find_gptq},
    Format{"awq", find_awq},
};

const Format* format_named(const std::string& method) {
  const auto found =
      std::find_if(kFormats.begin(), kFormats.end(), [&](const Format& format) { return method == format.method; });
  return found == kFormats.end() ? nullptr : &*found;
}

/// Endings of the names of a packed weight's parts.
constexpr std::array<std::string_view, 9> kEndings{".weight_packed", ".weight_scale", ".weight_zero_point",
                                                   ".weight_shape",  ".weight_g_idx", ".qweight",
                                                   ".qzeros",        ".scales",       ".g_idx"};

/// Settings in a JSON file, with the file's name.
struct Settings {
  Json json;
  std::string source;
};

std::optional<Settings> settings_in(const Json& config, const std::string& source) {
  if (!config.is_object()) return std::nullopt;
  for (const char* key : {"quantization_config", "compression_config"}) {
    if (config.contains(key) && config.at(key).is_object()) return Settings{config.at(key), source + ": " + key};
  }
  return config.contains("text_config") ? settings_in(config.at("text_config"), source + ": text_config")
                                        : std::nullopt;
}

/// What says how the weights beside it are packed: config.json, or the file that early writers of GPTQ left.
std::optional<Settings> settings_beside(const fs::path& checkpoint) {
  constexpr size_t kMostBytes = size_t{16} << 20;
  std::error_code code;
  const fs::path folder = fs::is_directory(checkpoint, code) ? checkpoint : checkpoint.parent_path();
  if (fs::exists(folder / "config.json", code)) {
    const fs::path file = folder / "config.json";
    if (auto found = settings_in(read_json_file(file, kMostBytes), file.string())) return found;
  }
  const fs::path file = folder / "quantize_config.json";
  if (!fs::exists(file, code)) return std::nullopt;
  Settings settings{read_json_file(file, kMostBytes), file.string()};
  if (settings.json.is_object() && !settings.json.contains("quant_method")) settings.json["quant_method"] = "gptq";
  return settings;
}

}  // namespace

at::Tensor widened(const PackedWeight& weight) {
  at::Tensor wide = ops::widened(weight.codes());
  if (weight.order.empty()) return wide;
  at::Tensor ordered = at::empty_like(wide);
  return ordered.index_copy_(1, at::tensor(weight.order), wide);
}

std::vector<std::string> PackedWeights::add(io::Checkpoint& checkpoint) {
  if (!holds_packed(checkpoint)) return {};
  const std::optional<Settings> settings = settings_beside(checkpoint.path());
  if (!settings) return {};
  const JsonView view(settings->json, settings->source);
  const Format* const format = format_named(view.text("quant_method", ""));
  if (!format) return {};
  std::vector<std::string> parts;
  for (PackedWeight& weight : format->find(checkpoint, view)) {
    io::TensorView codes = checkpoint.at(weight.parts.front());
    codes.dtype = io::Dtype::int8;
    codes.shape = weight.shape;
    const std::byte* const place = codes.bytes.data();
    if (weight.parts.front() != weight.name) {
      require(!checkpoint.contains(weight.name), Fault::bad_file, codes.file, ": holds ", weight.name,
              " twice, plain and as codes; remove the one that does not belong to the model");
      checkpoint.put(weight.name, std::move(codes));
    }
    for (const std::string& part : weight.parts)
      if (part != weight.name) parts.push_back(part);
    weights_.insert_or_assign(place, std::move(weight));
  }
  return parts;
}

void PackedWeights::put(const io::TensorView& view, PackedWeight weight) {
  weights_.insert_or_assign(view.bytes.data(), std::move(weight));
}

const PackedWeight* PackedWeights::find(const io::TensorView& view) const {
  const auto found = weights_.find(view.bytes.data());
  return found == weights_.end() ? nullptr : &found->second;
}

std::optional<std::string> plain_name_of_part(const std::string& name) {
  for (const std::string_view ending : kEndings) {
    if (name.ends_with(ending)) return name.substr(0, name.size() - ending.size()) + ".weight";
  }
  return std::nullopt;
}

bool holds_packed(const io::Checkpoint& checkpoint) {
  const std::vector<std::string> names = checkpoint.names();
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name.ends_with(".weight_packed") || name.ends_with(".weight_scale") || name.ends_with(".qweight");
  });
}

bool reads_packed(const std::string& method) {
  return format_named(method) != nullptr;
}

std::vector<std::string> modules_with(const io::Checkpoint& checkpoint, const std::string& ending) {
  std::vector<std::string> modules;
  for (const std::string& name : checkpoint.names())
    if (name.ends_with(ending)) modules.push_back(name.substr(0, name.size() - ending.size()));
  return modules;
}

}  // namespace lithe::models

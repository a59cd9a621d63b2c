#pragma once

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/json.h"
#include "io/safetensors.h"

namespace lithe::test {

/// A PEFT folder in the making: adapter_config.json and random factors.
class PeftFolder {
 public:
  explicit PeftFolder(int64_t rank = 4, double alpha = 6, uint32_t seed = 7)
      : config({{"peft_type", "LORA"},
                {"base_model_name_or_path", "base"},
                {"r", rank},
                {"lora_alpha", alpha},
                {"use_rslora", false},
                {"bias", "none"},
                {"target_modules", "all-linear"},
                {"modules_to_save", nullptr}}),
        rank_(rank),
        random_(seed) {}

  Json config;
  std::map<std::string, io::TensorView> tensors;

  /// Factors for `module`, as PEFT names them. rank 0: that of the config.
  void add(const std::string& module, int64_t out, int64_t in, int64_t rank = 0) {
    const int64_t r = rank == 0 ? rank_ : rank;
    put("base_model.model." + module + ".lora_A.weight", {r, in}, 1 / std::sqrt(double(in)));
    put("base_model.model." + module + ".lora_B.weight", {out, r}, 0.3 / std::sqrt(double(r)));
  }

  void put(const std::string& name, const std::vector<int64_t>& shape, double size) {
    std::normal_distribution<float> normal(0, float(size));
    int64_t count = 1;
    for (const int64_t side : shape) count *= side;
    std::vector<float> values;
    for (int64_t i = 0; i < count; ++i) values.push_back(normal(random_));
    tensors[name] = io::tensor_of<float>(shape, values);
  }

  /// Every product of a LLaMA layer.
  void add_layer(const std::string& prefix, int64_t hidden, int64_t intermediate) {
    for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) add(prefix + "self_attn." + name, hidden, hidden);
    add(prefix + "mlp.gate_proj", intermediate, hidden);
    add(prefix + "mlp.up_proj", intermediate, hidden);
    add(prefix + "mlp.down_proj", hidden, intermediate);
  }

  /// Puts the tensors beside those of a checkpoint.
  void add_to(const std::filesystem::path& checkpoint) const {
    std::map<std::string, io::TensorView> all = io::open_safetensors(checkpoint).tensors;
    all.insert(tensors.begin(), tensors.end());
    std::filesystem::remove(checkpoint);
    io::write_safetensors(checkpoint, {all.begin(), all.end()});
  }

  void write(const std::filesystem::path& folder) const {
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "adapter_config.json") << config.dump(1);
    std::filesystem::remove(folder / "adapter_model.safetensors");
    io::write_safetensors(folder / "adapter_model.safetensors", {tensors.begin(), tensors.end()});
  }

 private:
  int64_t rank_;
  std::mt19937 random_;
};

}  // namespace lithe::test

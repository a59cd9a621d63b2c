#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "checkpoints/read/lora_config.h"
#include "io/checkpoint.h"

namespace lithe::models {

/// A PEFT folder: adapter_config.json, adapter_model.safetensors or .bin, and LLaVA's non_lora_trainables.bin if
/// there is one. It holds factors of LoRA for products, and tensors that were trained whole (projector, routers,
/// modules_to_save). Names are compared as plain names, so that base and adapter may be of different layouts.
class LoraFolder {
 public:
  /// The factors for one product.
  struct Pair {
    std::string module;       ///< As the folder calls it.
    const io::TensorView* a;  ///< [rank, in]
    const io::TensorView* b;  ///< [out, rank]
    int64_t rank;
    double scale;
  };

  /// Throws Error{bad_file}: a tensor that contradicts the config, or that is not part of LoRA.
  static LoraFolder open(const std::filesystem::path& folder);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, Pair>& pairs() const { return pairs_; }  ///< By the plain name of the weight.
  int64_t whole() const { return static_cast<int64_t>(whole_.size()); }
  std::set<std::string> whole_names() const;  ///< Plain.

  /// Puts the whole tensors into the base model's, in place of those of the same plain name. `ties`: the base model's
  /// config ties the head to the embeddings. As PEFT has it, such a head is then untied if the adapter trains it or
  /// a copy of the embeddings: the other of the two keeps the base model's weights.
  void put_whole(io::Checkpoint& base, bool ties) const;

 private:
  void sort_tensor(const io::Checkpoint& file, const std::string& name);
  void check_pairs();
  void check_whole() const;
  bool split_tied_head(io::Checkpoint& base, const std::string& embeddings, const std::string& head) const;

  std::filesystem::path path_;
  LoraConfig config_;
  std::vector<std::unique_ptr<io::Checkpoint>> files_;
  std::map<std::string, Pair> pairs_;
  std::map<std::string, const io::TensorView*> whole_;  ///< By name without PEFT's prefix.
};

/// What adapter_config.json of a PEFT folder says. Throws Error{bad_file}.
LoraConfig config_of_lora(const std::filesystem::path& folder);

/// A tensor's name without what layouts differ in, as text_of spells it if a weight is called so:
/// "language_model.model.layers.0.self_attn.q_proj.weight" and "model.layers.0.decoder_layer.self_attn.q_proj.weight"
/// are "layers.0.self_attn.q_proj.weight".
std::string plain_name(const std::string& name);

/// The folder holds an adapter and not a model.
bool is_lora_folder(const std::filesystem::path& folder);

/// Throws Error{bad_file} if it does not, which says what to give.
void require_lora_folder(const std::filesystem::path& folder);

/// The base model's folder that adapter_config.json names: as written, from the adapter's folder or from the one
/// above; of a hub id the last part. Throws Error{bad_file} if none is there.
std::filesystem::path base_of_lora(const std::filesystem::path& folder);

}  // namespace lithe::models

#pragma once

#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "checkpoints/read/lora.h"
#include "checkpoints/read/name_set.h"
#include "checkpoints/read/packed_weights.h"
#include "checkpoints/read/tensor_over.h"
#include "io/checkpoint.h"
#include "models/loading.h"
#include "models/low_bit_weights.h"
#include "models/parts/weight_slot.h"
#include "nn/linear.h"

namespace lithe::models {

/// Fills the weights of a model from one or more checkpoints. First every weight is taken by name, then `load` reports
/// all faults at once, or maps and converts. Views of the files' mappings are used as they are if the type is kept.
/// LoRA of the options is added to the products that are taken, whatever layout it was trained in.
class WeightLoader {
 public:
  /// `ties`: config.json ties the head to the embeddings. Throws Error{bad_file} if the options name a folder of LoRA
  /// that cannot be read.
  WeightLoader(const LoadOptions& options, bool ties);

  /// Opens a file or folder; the checkpoint lives as long as the loader. The first is the model's own: whole tensors of
  /// a LoRA folder take their places in it. Throws Error{bad_file}.
  const io::Checkpoint& open(const std::filesystem::path& path);
  /// The same of a checkpoint that is open already.
  const io::Checkpoint& adopt(io::Checkpoint checkpoint);
  /// The same if some of its tensors are codes: those are views of int8 of the weight's shape, whose bytes are the
  /// file's and are not looked at.
  const io::Checkpoint& adopt(io::Checkpoint checkpoint, std::vector<PackedWeight> packed);

  /// Whether there is LoRA on the head, which is then held beside the embeddings even if both are the same tensor.
  bool adapts_head() const {
    return lora_ && lora_->pairs().contains(text_of({.part = Part::decoder, .role = Role::head}));
  }

  /// What `checkpoint` holds under the layout's name of a weight, or under the plain name if it is the base model of
  /// LoRA; null if it holds neither.
  const io::TensorView* find(const io::Checkpoint& checkpoint, const std::string& name) const {
    return checkpoint.find(held_name(checkpoint, name));
  }

  /// Notes that `slot` is `name` in `checkpoint`; a matrix may be stored as a convolution of width 1. The slot's tensor
  /// must stay where it is until load().
  void take(const io::Checkpoint& checkpoint, const std::string& name, const WeightSlot& slot);

  /// Tensors of this name, or under this prefix if it ends with a point, may be there and are not read.
  void ignore(const io::Checkpoint& checkpoint, const std::string& name);

  /// Notes every tensor of `checkpoint` that was not taken and is not a known useless one.
  void refuse_others(const io::Checkpoint& checkpoint);

  /// Fills the slots. Throws Error{bad_file}: missing, unexpected and misshapen names, all at once.
  Loaded load();

 private:
  struct Claim {
    WeightName slot;
    std::string name;  ///< In the checkpoint.
    const io::TensorView* view;
    WeightPlace place;
    std::vector<int64_t> shape;
    bool matrix;
    const PackedWeight* packed = nullptr;  ///< Of a weight that the file stores as codes.
  };
  /// LoRA of a product until its tensors are there.
  struct Addition {
    nn::Linear* linear;
    nn::LowRank low_rank;
  };
  std::string held_name(const io::Checkpoint& checkpoint, const std::string& name) const;
  void add_low_rank(const WeightSlot& slot);
  bool claim(Claim claim);  ///< Whether shape and type fit; else that is noted.
  bool is_ignored(const io::Checkpoint& checkpoint, const std::string& name) const;
  void check() const;
  void check_low_rank() const;
  std::set<std::string> not_run() const;  ///< Plain names of what is ignored.
  std::optional<LoraUse> lora_use() const;
  bool learns(const Claim& claim) const { return options_.learns && options_.learns(claim.slot); }
  at::Tensor held(const Claim& claim) const;
  at::Tensor converted(const at::Tensor& numbers, const Claim& claim) const;
  std::optional<Codes> codes_of(const Claim& claim) const;
  nn::Weight coded(const Claim& claim, const Codes& codes) const;
  void fill(const Claim& claim) const;
  void fill_packed(const Claim& claim) const;
  at::Tensor learning(const at::Tensor& mapped, const Claim& claim) const;

  LoadOptions options_;
  bool ties_;
  std::vector<std::unique_ptr<io::Checkpoint>> checkpoints_;
  std::vector<Claim> claims_;
  PackedWeights packed_;
  std::map<const io::Checkpoint*, std::set<std::string>> taken_;
  std::map<const io::Checkpoint*, NameSet> ignored_;
  std::vector<std::string> missing_, unexpected_, misshapen_, misshapen_factors_;
  std::map<WeightName, WeightOrigin> origins_;
  std::optional<LoraFolder> lora_;
  std::map<std::string, std::string> plain_names_;  ///< Of the model's own checkpoint, if there is LoRA.
  std::list<Addition> additions_;                   ///< A list: claims point into it.
  std::set<std::string> added_;                     ///< By the plain name of the weight.
};

/// Numbers of a file in the type in which `storage` holds them; the same memory if they have it. `name`: of the weight,
/// for errors. Throws Error{bad_request} for numbers that the type cannot hold.
at::Tensor held_as(WeightStorage storage, const at::Tensor& numbers, bool matrix, const std::string& name);

/// The first prefix under which `name` is in the checkpoint; the first of all if it is nowhere, so that errors name
/// that.
std::string prefix_of(const io::Checkpoint& checkpoint, const std::vector<std::string>& prefixes,
                      const std::string& name);

}  // namespace lithe::models

#pragma once

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "checkpoints/write/folding.h"
#include "checkpoints/write/weight_file.h"
#include "nn/adapters/fold.h"

namespace lithe::models {

/// W' = W R and b' = W r + b of a product whose rows a map changes. The product must live until they are written.
MadeWeight folded_weight(const nn::Linear& linear, const nn::AdapterMap& map);
MadeWeight folded_bias(const nn::Linear& linear, const nn::AdapterMap& map);

/// What folding does to the weights of a model, whatever they are called on disk.
class FoldedWeights {
 public:
  /// The model must outlive this; `frozen` as in write_folded.
  FoldedWeights(const Model& model, const FrozenPrompt* frozen);

  const std::map<WeightName, MadeWeight>& made() const { return made_; }
  /// The weight has gone into others.
  bool drops(const WeightName& name) const {
    return dropped_.contains(name) || dropped_.contains(name.with(Role::all).with(Kind::weight));
  }
  /// Decoder layers that lose their attention, because the frozen plan turns it off and a PIA stands in for it.
  const std::vector<int64_t>& lost() const { return lost_; }
  const FoldCount& count() const { return count_; }

 private:
  void fold_layer(int64_t layer, const EasLayer& eas);
  bool attends(int64_t layer, const EasLayer& eas) const;
  void fold_pia(int64_t layer, const EasLayer& eas, const routing::Site& feeds);
  void drop_attention(int64_t layer, const EasLayer& eas);
  void fold_attention(int64_t layer, const routing::Site& site);
  void fold_tower_layer(int64_t layer, const EasLayer& eas);
  void fold_gain(const WeightName& product, const nn::Linear& linear, const nn::Pia& pia);
  void fold_low_rank();
  void replace(const WeightName& product, const nn::Linear& linear, const nn::AdapterMap& map);
  void add_biases();
  void add_bias(const WeightName& product, const nn::Linear& linear);

  const Model& model_;
  const FrozenPrompt* frozen_;
  std::map<WeightName, MadeWeight> made_;
  std::set<WeightName> dropped_;  ///< Without a role: a whole adapter.
  std::vector<int64_t> lost_;
  FoldCount count_;
};

}  // namespace lithe::models

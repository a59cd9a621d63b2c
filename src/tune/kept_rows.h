#pragma once

#include <cstdint>
#include <map>

#include "base/json.h"
#include "routing/batch.h"
#include "tune/ranks.h"

namespace lithe::tune {

/// What the layers of one optimiser step did with vision tokens, summed over its passes.
class KeptRows {
 public:
  /// Sees one pass; must not outlive this.
  routing::Observer observer();

  /// Adds what the other ranks saw of a model of so many layers.
  void sum_over(const Ranks& ranks, int64_t layers);

  /// Of all layers, the share of vision tokens that ran the feed-forward network; 1 if there was none.
  double share() const;
  /// The same by layer: {"3": 0.5, ..}, of layers that did not run all.
  Json shares() const;
  /// The mean weight of the tokens that a router scored, by layer.
  Json router_weights() const;

 private:
  struct Layer {
    int64_t entered = 0, ran = 0;  ///< Vision tokens; those that an earlier layer dropped for good count as entered.
    double weight = 0;             ///< Summed over the scored tokens.
    int64_t scored = 0;
  };
  std::map<int64_t, Layer> layers_;
  int64_t vision_ = 0;  // tokens of the pass at hand, before the first layer
};

}  // namespace lithe::tune

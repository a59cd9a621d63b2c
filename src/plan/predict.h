#pragma once

#include <vector>

#include "plan/cost.h"

namespace lithe::plan {

/// How fast a machine computes with weights of one type (session/machine_speed.h measures it).
struct MachineSpeed {
  /// A product of `rows` rows with a large weight.
  struct Product {
    double rows = 0;
    double flops = 0;  ///< A second; a multiply-add is two.
  };
  std::vector<Product> products;  ///< By rows, ascending; never empty.
  double attention = 0;           ///< Operations a second of prefill's scores and sums.
  double bytes = 0;               ///< A second that decoding reads, of keys and values too.
  double values = 0;              ///< Values a second of a norm, for whatever goes over the hidden states.
  double call = 0;                ///< Seconds that a product of next to nothing takes.
};

/// Predicted times of one prompt, in milliseconds.
struct PredictedTimes {
  double image = 0;    ///< Tower and projector.
  double prefill = 0;  ///< Decoder and head.
  double decode = 0;   ///< A token after the prompt.
};

/// The times of a counted plan. What is not counted (choosing rows, copying them, adapters) is not predicted either.
PredictedTimes predicted(const CostTable& table, const ModelFacts& model, const MachineSpeed& speed);
/// The same prompt without a plan.
PredictedTimes predicted_dense(const CostTable& table, const ModelFacts& model, const MachineSpeed& speed);

}  // namespace lithe::plan

#pragma once

#include <string>

#include "base/json.h"
#include "cli/options.h"
#include "plan/predict.h"

namespace lithe::cli {

/// The times to expect of a prompt on this machine, under a plan and without one.
struct Prediction {
  std::string weights;  ///< Their type.
  plan::PredictedTimes plan, dense;
};

/// How fast this machine computes with weights of a type. Measures it if it has not been measured before, with progress
/// on a terminal.
plan::MachineSpeed speed_of_machine(const std::string& weights, const CommonOptions& options);

/// Measures the machine if it has not been measured before, with progress on a terminal.
Prediction predict(const std::string& weights, const CommonOptions& options, const plan::ModelFacts& model,
                   const plan::CostTable& table);

std::string to_text(const Prediction& prediction);
Json to_json(const Prediction& prediction);

}  // namespace lithe::cli

#pragma once

#include <cstdint>

#include "data/data_set.h"
#include "models/model.h"
#include "plan/plan.h"
#include "tune/run.h"
#include "tune/sample.h"

namespace lithe::tune {

struct EvaluationOptions {
  SampleOptions sample;
  int64_t batch = 8;        ///< Samples that run together.
  bool answers = false;     ///< Answer every question too, greedily, and compare with the expected text.
  int64_t shown = 8;        ///< Answers that the result holds.
  int64_t new_tokens = 64;  ///< Of an answer.
};

/// The mean loss over a data set's labels, and the share of its last turns that the model answers as expected but for
/// white space at the ends. Nothing learns.
Evaluation evaluate(const models::Model& model, const plan::Plan& plan, const data::DataSet& records,
                    const EvaluationOptions& options);

}  // namespace lithe::tune

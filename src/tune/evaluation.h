#pragma once

#include <cstdint>
#include <memory>
#include <span>

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

/// The mean loss over the labels of data sets, and what the model's answers in the place of their last turns are worth:
/// of a task what it says, else whether they are the expected text but for white space at the ends. Nothing learns.
Evaluation evaluate(const models::Model& model, const plan::Plan& plan,
                    std::span<const std::unique_ptr<data::DataSet>> sets, const EvaluationOptions& options);

}  // namespace lithe::tune

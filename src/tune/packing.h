#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "models/model.h"
#include "plan/plan.h"
#include "routing/batch.h"
#include "tune/sample.h"

namespace lithe::tune {

using at::Tensor;

/// Samples as rows of one pass, one after another. There is no padding.
struct TrainingRows {
  Tensor embeddings;             ///< [rows, hidden]
  routing::Batch batch;          ///< One sequence per sample.
  std::vector<int64_t> targets;  ///< [rows] the token that a row is to predict, else text::kIgnored.

  int64_t rows() const { return batch.rows(); }
  int64_t learnt() const;  ///< Rows with a target.
};

/// Runs the pictures through the tower under `plan` and puts their rows between the embeddings of the texts. Rows from
/// `longest` on are cut from each sample. The plan must outlive the rows.
TrainingRows pack_samples(const models::Model& model, const plan::Plan& plan, std::span<const Sample> samples,
                          int64_t longest);

}  // namespace lithe::tune

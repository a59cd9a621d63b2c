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

/// How samples become rows.
struct PackOptions {
  int64_t longest = 2048;  ///< Rows of a sample; later ones are cut.
  bool share_images =
      false;  ///< Samples that follow each other and begin alike, up to their last picture, share those rows.
  bool every_row_is_prompt = false;  ///< Adapters take their means over answers too (`pia_mean: published`).
  bool dropout = false;              ///< Rows get what dropout draws from, else nothing is left out.
};

/// Samples as rows of one pass, one after another. There is no padding.
struct TrainingRows {
  Tensor embeddings;             ///< [rows, hidden]
  routing::Batch batch;          ///< One sequence per sample, and one for each beginning that several share.
  std::vector<int64_t> targets;  ///< [rows] the token that a row is to predict, else text::kIgnored.

  int64_t rows() const { return batch.rows(); }
  int64_t learnt() const;  ///< Rows with a target.
};

/// Runs the pictures through the tower under `plan` and puts their rows between the embeddings of the texts. The plan
/// must outlive the rows.
TrainingRows pack_samples(const models::Model& model, const plan::Plan& plan, std::span<const Sample> samples,
                          const PackOptions& options);

/// Throws Error{bad_request} that says why if sharing rows of pictures would change what `plan` computes: a rule that
/// looks at more than vision tokens, or an adapter whose scope is the prompt.
void require_shareable(const models::Model& model, const plan::Plan& plan);

}  // namespace lithe::tune

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/model.h"
#include "session/session.h"

namespace lithe::session {

using at::Tensor;

/// A request as rows that enter the decoder.
struct PromptRows {
  std::vector<int64_t> ids;             ///< Tokens; kImageId at each picture.
  Tensor embeddings;                    ///< [rows, hidden]
  std::vector<routing::RowKind> kinds;  ///< [rows]
  std::vector<models::ImageRows> images;
  std::vector<int64_t> image_first_row;  ///< Per picture.

  int64_t rows() const { return static_cast<int64_t>(kinds.size()); }
  int64_t vision_rows() const;
};

/// Renders, tokenises, encodes pictures, merges. Throws Error{bad_request} when marks and pictures differ in number or
/// the prompt is longer than the model takes.
PromptRows build_prompt(const models::Model& model, const Request& request);

}  // namespace lithe::session

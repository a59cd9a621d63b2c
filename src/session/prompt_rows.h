#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
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

/// The tokens of a request with this many pictures; its own are not looked at. Throws Error{bad_request} as above.
std::vector<int64_t> prompt_ids(const models::Model& model, const Request& request, size_t pictures);

/// Puts the rows of the pictures at their marks. `images` of the result is left empty.
PromptRows merge(const models::Model& model, std::vector<int64_t> ids, std::span<const models::ImageRows> pictures);

/// Whether the model takes an answer behind the prompt.
bool leaves_room(const models::Model& model, const PromptRows& prompt);

}  // namespace lithe::session

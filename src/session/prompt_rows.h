#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "models/model.h"
#include "session/session.h"
#include "session/watch.h"

namespace lithe::session {

using at::Tensor;

/// A request as rows that enter the decoder.
struct PromptRows {
  std::vector<int64_t> ids;             ///< Tokens; kImageId at each picture.
  Tensor embeddings;                    ///< [rows, hidden]
  std::vector<routing::RowKind> kinds;  ///< [rows]
  routing::Places places;               ///< [axes][rows] rotary places; empty: their order
  std::vector<models::ImageRows> images;
  std::vector<int64_t> image_first_row;                      ///< Per picture.
  std::shared_ptr<const std::vector<float>> picture_scores;  ///< [rows], or null: routing::Sequence's

  int64_t rows() const { return static_cast<int64_t>(kinds.size()); }
  int64_t vision_rows() const;
};

/// A prompt that leaves no room for an answer.
class PromptTooLong : public Error {
 public:
  PromptTooLong(int64_t rows, int64_t longest);
  int64_t rows() const { return rows_; }  ///< A lower bound: counting stops when the prompt is too long.

 private:
  int64_t rows_;
};

/// The most tokens a prompt and its answer may have: max_position_embeddings of config.json, times the factor of a rope
/// scaling that stretches it; at most 2^24, beyond which float32 does not tell positions apart.
int64_t longest_sequence(const models::Model& model);

/// How many tokens the model takes after a prompt of this many rows. 0 or less: the prompt leaves no room.
int64_t room_after(const models::Model& model, int64_t prompt_rows);

/// Throws PromptTooLong if the prompt leaves no room.
void require_room(const models::Model& model, int64_t prompt_rows);

/// Counts a prompt's rows as they become known, so that nothing is made of a prompt that does not fit.
class PromptLength {
 public:
  /// Every picture counts as the smallest. Throws PromptTooLong, as add() does.
  PromptLength(const models::Model& model, const std::vector<int64_t>& ids);
  /// What one of the pictures really takes.
  void add(const models::ImageRows& picture);

 private:
  const models::Model* model_;
  int64_t rows_;
};

/// Fewest rows that a picture takes.
int64_t least_rows(const models::Model& model);

/// Renders, tokenises, encodes pictures under the request's plan, merges. Throws Error{bad_request} when marks and
/// pictures differ in number or the plan does not fit this model, PromptTooLong, and Cancelled as `watch` says.
PromptRows build_prompt(const models::Model& model, const Request& request, const Watch& watch = {});

/// Pictures of a prompt that are to be encoded.
struct PicturesToEncode {
  std::span<const image::Source> all;
  size_t first = 0;  ///< Those before it are encoded already.
  const plan::Plan& plan;
  const models::LoraOver* lora = nullptr;  ///< Over them; null: none.
};

/// Encodes the pictures one after another, and hands each to `take`. A worker prepares the next while one is in the
/// tower. Throws Error, and Cancelled as `watch` says.
void encode_pictures(const models::Model& model, const PicturesToEncode& pictures, const Watch& watch,
                     const std::function<void(models::ImageRows)>& take);

/// The tokens of a request with this many pictures; its own are not looked at. Throws Error{bad_request} as above.
std::vector<int64_t> prompt_ids(const models::Model& model, const Request& request, size_t pictures);

/// Puts the rows of the pictures at their marks. `images` of the result is left empty.
PromptRows merge(const models::Model& model, std::vector<int64_t> ids, std::span<const models::ImageRows> pictures);

}  // namespace lithe::session

#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "text/message.h"
#include "text/tokenizer.h"

namespace lithe::text {

/// The label of a token that is not learnt.
inline constexpr int64_t kIgnored = -100;

/// A conversation as training sees it.
struct LabelledIds {
  std::vector<int64_t> ids;     ///< kImageId at each image.
  std::vector<int64_t> labels;  ///< As long as `ids`: the id if the token is learnt (answers), else kIgnored.
  /// The counted rounds do not add up to the tokens, so everything is ignored, as the public code does. It happens with
  /// empty answers, answers that hold the assistant's head, and tokenizers that merge across turns.
  bool mismatch = false;
};

/// Ids and labels of a whole conversation, as the public LLaVA training code makes them. `messages` end with an answer.
/// `has_image`: "<image>" marks stand for images (call move_image_mark first), else they are text and ids are cut to
/// `max_length`. Throws Error{bad_request} for a conversation without a training form, or messages that it cannot take.
LabelledIds label_conversation(std::string_view name, std::span<const Message> messages, const Tokenizer& tokenizer,
                               bool has_image, int64_t max_length = 2048);

}  // namespace lithe::text

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lithe::text {

/// The mark of one image in a prompt string, and the id that stands for it among token ids.
inline constexpr const char* kImageMark = "<image>";
inline constexpr int64_t kImageId = -200;

/// One piece of a message. An image carries no data here: it is the next one of the request's pictures.
struct Part {
  enum class Kind { text, image };
  Kind kind = Kind::text;
  std::string text;  ///< Empty for an image.
};

/// One message of a chat. `role` is "system", "user" or "assistant".
struct Message {
  std::string role;
  std::vector<Part> parts;
};

/// A message of one text part. The text may hold image marks of its own.
Message text_message(std::string role, std::string text);

/// A user's message. Where the prompt holds no image mark, `pictures` of them stand in front of it, as in a chat.
Message user_message(std::string prompt, std::size_t pictures);

/// All text of a message as one string, images as marks in front: "<image> <image>\nWhich is brighter?"
std::string flatten(const Message& message);

}  // namespace lithe::text

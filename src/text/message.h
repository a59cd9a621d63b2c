#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
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

/// A user's message. If the prompt holds no image mark, `pictures` of them stand in front of it, as in a chat.
Message user_message(std::string prompt, std::size_t pictures);

/// The text with every `from` replaced by `to`, from left to right, in time linear in the text.
std::string replaced(std::string_view text, std::string_view from, std::string_view to);

/// The text without its image marks. One that only comes together when others are gone stays, as in Python's replace.
std::string without_marks(std::string_view text);

/// All text of a message as one string, images as marks in front: "<image> <image>\nWhich is brighter?"
std::string flatten(const Message& message);

}  // namespace lithe::text

#include "text/message.h"

#include <utility>

namespace lithe::text {

Message text_message(std::string role, std::string text) {
  return {std::move(role), {{Part::Kind::text, std::move(text)}}};
}

Message user_message(std::string prompt, std::size_t pictures) {
  Message message{.role = "user", .parts = {}};
  if (prompt.find(kImageMark) == std::string::npos) {
    message.parts.assign(pictures, Part{.kind = Part::Kind::image, .text = {}});
  }
  message.parts.push_back({.kind = Part::Kind::text, .text = std::move(prompt)});
  return message;
}

std::string flatten(const Message& message) {
  std::string marks;
  std::string text;
  for (const Part& part : message.parts) {
    if (part.kind == Part::Kind::image) {
      if (!marks.empty()) marks += ' ';
      marks += kImageMark;
    } else {
      text += part.text;
    }
  }
  if (!marks.empty()) marks += '\n';
  return marks + text;
}

}  // namespace lithe::text

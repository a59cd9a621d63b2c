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

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  std::size_t start = 0;
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, start)) {
    result.append(text.substr(start, at - start)).append(to);
    start = at + from.size();
  }
  return result.append(text.substr(start));
}

std::string without_marks(std::string_view text) {
  return replaced(text, kImageMark, "");
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

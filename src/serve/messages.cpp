#include "serve/messages.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "serve/fields.h"
#include "serve/refusal.h"
#include "text/image_marks.h"

namespace lithe::serve {
namespace {

constexpr std::size_t kMostMessages = 4096;
constexpr std::size_t kMostParts = 4096;  // of a message

std::string role_of(const Fields& message) {
  std::string role = message.needed_text("role");
  if (role == "developer") return "system";
  require_field(
      role == "system" || role == "user" || role == "assistant", message.name("role"),
      concat(message.name("role"), " is ", in_quotes(role), "; this server knows system, user and assistant."));
  return role;
}

/// "image_url": {"url": ..}, or the URL itself.
std::string url_of(const Fields& part) {
  const Json& value = part.needed("image_url");
  return value.is_string() ? value.get<std::string>() : Fields(value, part.name("image_url")).needed_text("url");
}

/// Some clients write the marks of LLaVA into the text and send the pictures as parts too.
void let_marks_place(text::Message& message) {
  const auto is_image = [](const text::Part& part) { return part.kind == text::Part::Kind::image; };
  const auto pictures = std::count_if(message.parts.begin(), message.parts.end(), is_image);
  int64_t marks = 0;
  for (const text::Part& part : message.parts) marks += text::count_marks(part.text);
  if (pictures > 0 && marks == pictures) std::erase_if(message.parts, is_image);
}

void read_part(const Fields& part, const std::string& role, text::Message& message, Conversation& chat) {
  const std::string type = part.needed_text("type");
  if (type == "text" || type == "input_text" || type == "output_text") {
    message.parts.push_back({.kind = text::Part::Kind::text, .text = part.needed_text("text")});
    return;
  }
  require_field(type == "image_url" || type == "input_image", part.name("type"),
                concat(part.name("type"), " is ", in_quotes(type), "; this server knows text and image_url."));
  require_field(role == "user", part.name("type"), "Only messages of the user may hold pictures.");
  chat.urls.push_back(url_of(part));
  chat.fields.push_back(part.name("image_url"));
  message.parts.push_back({.kind = text::Part::Kind::image, .text = {}});
}

}  // namespace

void read_message(const Json& json, const std::string& path, Conversation& chat) {
  const Fields fields(json, path);
  const std::string role = role_of(fields);
  for (const char* calls : {"tool_calls", "function_call"})
    require_field(!fields.has(calls), fields.name(calls),
                  "This server has no tools; leave out messages that call them.");
  const Json& content = fields.needed("content");
  const std::string name = fields.name("content");
  if (content.is_string()) {
    chat.messages.push_back(text::text_message(role, content.get<std::string>()));
    return;
  }
  require_field(content.is_array() && !content.empty() && content.size() <= kMostParts, name,
                concat(name, " is neither a string nor a list of 1 to ", kMostParts, " parts."));
  text::Message message{.role = role, .parts = {}};
  for (std::size_t i = 0; i < content.size(); ++i)
    read_part(Fields(content[i], place_in(name, i)), role, message, chat);
  let_marks_place(message);
  chat.messages.push_back(std::move(message));
}

Conversation read_messages(const Json& messages) {
  require_field(messages.is_array() && !messages.empty() && messages.size() <= kMostMessages, "messages",
                concat("messages is not a list of 1 to ", kMostMessages, " messages."));
  Conversation chat;
  for (std::size_t i = 0; i < messages.size(); ++i) read_message(messages[i], place_in("messages", i), chat);
  return chat;
}

}  // namespace lithe::serve

#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "text/message.h"

namespace lithe::serve {

/// The messages of a chat and their pictures, in the order in which they appear.
struct Conversation {
  std::vector<text::Message> messages;
  std::vector<std::string> urls;    ///< Of the pictures.
  std::vector<std::string> fields;  ///< What errors call each URL: "messages[0].content[1].image_url".
};

/// Adds a message, which `path` names in errors. Its parts may also be named as in /v1/responses (input_text,
/// output_text, input_image). Throws Refusal.
void read_message(const Json& json, const std::string& path, Conversation& chat);

/// Reads "messages" of a chat: roles system (also developer), user and assistant; contents that are a string or a list
/// of parts (text, image_url). If the texts of a message hold as many image marks as it has pictures, the marks say
/// where the pictures go. Throws Refusal.
Conversation read_messages(const Json& messages);

}  // namespace lithe::serve

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "text/message.h"

namespace lithe::text {

/// How the content of a message is handed to a chat template.
enum class ContentForm {
  parts,        ///< A list: {"type": "image"}, {"type": "text", "text": ..}
  one_part,     ///< A list of one text, with "<image>" in it: for templates that read content[0]['text'].
  marked_text,  ///< A text with "<image>" in it.
  bare_text,    ///< A text without marks: for templates that write "<image>" themselves.
};

/// The form for each role; templates differ in it.
struct ContentForms {
  ContentForm system = ContentForm::parts, user = ContentForm::parts, assistant = ContentForm::parts;
  bool drops_text = false;  ///< The template renders, but what the user writes makes no difference.

  ContentForm of(std::string_view role) const;
};

/// The content of a message in a form.
Json content_in(ContentForm form, const Message& message);

/// A template over a list of messages; absent if it fails or refuses them.
using ProbeRender = std::function<std::optional<std::string>(const Json& messages)>;

/// Finds the form that a template reads, by rendering short messages in each and looking at what comes out: the text
/// must come out as it is, and a picture as one "<image>". If no form does that, the first in which the text
/// makes a difference is taken.
ContentForms find_forms(const ProbeRender& render);

}  // namespace lithe::text

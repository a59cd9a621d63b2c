#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/generation_config.h"
#include "text/chat_template.h"
#include "text/message.h"
#include "text/tokenizer.h"

namespace lithe::models {

/// How a model is asked and how its answer ends: a Jinja template of the folder or an original LLaVA conversation, the
/// tokenizer, and what generation_config.json says.
struct Prompting {
  std::optional<text::Tokenizer> tokenizer;  ///< Absent if the folder has none, and in random models.
  std::optional<text::ChatTemplate> chat_template;
  std::string
      conversation;  ///< Used if there is no template; "chat_template": it was chosen in a conversation's place.
  text::Dialect dialect = text::Dialect::hf;
  std::vector<std::string> stop_strings;
  std::vector<int64_t> eos_ids;  ///< Ascending.
  GenerationDefaults generation;

  /// Whether an answer ends with this token.
  bool ends(int64_t id) const { return std::binary_search(eos_ids.begin(), eos_ids.end(), id); }

  /// The prompt of a conversation: template or conversation style. `open`: it ends where the next answer begins.
  /// Throws Error{bad_request}.
  std::string render(const std::vector<text::Message>& messages, bool open = true) const;
};

}  // namespace lithe::models

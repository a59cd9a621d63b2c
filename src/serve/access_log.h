#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "session/session.h"

namespace lithe::serve {

/// What the log says of one request.
struct AccessEntry {
  std::string id, client, method, path;
  std::string trace_parent;  ///< The header traceparent, whatever it holds.
  int status = 0;
  double ms = 0;
  std::optional<std::string> lora;  ///< The name of the LoRA that "model" chose.
  bool stream = false;
  bool client_left = false;
  std::optional<std::string> error;       ///< The sentence that the client got.
  std::optional<session::Answer> answer;  ///< Counts and times of the first; the text is not logged.
  int64_t prompt_tokens = 0;              ///< Of all prompts.
  int64_t new_tokens = 0;                 ///< Of all answers.
};

/// One line of JSON, with its end.
std::string log_line(const AccessEntry& entry);

/// The same in place of so many lines that nobody read in time.
std::string dropped_line(int64_t lines);

}  // namespace lithe::serve

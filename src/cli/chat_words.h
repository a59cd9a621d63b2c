#pragma once

#include <string>

#include "cli/line_editor.h"

namespace lithe::cli {

/// The commands of a chat.
enum class ChatWord { image, plan, reset, help, quit };

struct ChatCommand {
  ChatWord word = ChatWord::help;
  std::string argument;  ///< Quotes off and "~/" written out.
};

/// What /plan calls the model's own plan.
inline constexpr const char* kOwnPlan = "own";

/// Reads a line that begins with a slash. Throws Error{bad_request} for an unknown command and for an argument that is
/// missing or too much.
ChatCommand parse_command(const std::string& line);

/// Commands; after /plan, names of plans; after /image and /plan, files.
Completions complete_chat(const std::string& before_cursor);

/// What /help prints.
std::string chat_help();

}  // namespace lithe::cli

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/cli11.h"
#include "session/session.h"

namespace lithe::cli {

/// The flags of `run`, `batch` and `trace` that say what is asked.
struct QuestionOptions {
  std::vector<std::string> images;
  bool raw_prompt = false;
  std::optional<std::string> system;
  std::optional<std::string> plan;
};

/// Declares --image, and what add_prompting declares.
void add_question(CLI::App& app, QuestionOptions& options);

/// Declares --raw-prompt, --system and --plan.
void add_prompting(CLI::App& app, QuestionOptions& options);

/// Reads the pictures and the plan and puts the question together. A prompt without "<image>" gets its pictures
/// before the text, as in a chat. Throws Error.
session::Request make_request(const QuestionOptions& options, std::string prompt, const session::Session& session);

/// A whole file or stream of at most 16 MiB, byte for byte; "-" is stdin. Throws Error{bad_file}.
std::string read_text(const std::string& file);

}  // namespace lithe::cli

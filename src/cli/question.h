#pragma once

#include <span>
#include <string>

#include "cli/cli11.h"
#include "session/request.h"

namespace lithe::cli {

/// Declares --image; `what`: its line in the help.
CLI::Option* add_images(CLI::App& app, session::Question& question, const std::string& what);

/// Declares --image, --raw-prompt, --system and --plan.
void add_question(CLI::App& app, session::Question& question);

/// Declares --raw-prompt, --system and --plan.
void add_prompting(CLI::App& app, session::Question& question);

/// The files of its pictures.
std::vector<std::string> files_of(const session::Question& question);

/// Says on stderr what happens to pictures that are too large to be read whole.
void print_notes(std::span<const image::Source> pictures);

/// A whole file or stream of at most 16 MiB, byte for byte; "-" is stdin. Throws Error{bad_file}.
std::string read_text(const std::string& file);

}  // namespace lithe::cli

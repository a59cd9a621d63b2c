#include "cli/request.h"

#include <fstream>
#include <iostream>

#include "base/error.h"
#include "base/printable.h"
#include "cli/standard_output.h"
#include "plan/parse.h"

namespace lithe::cli {
namespace {

constexpr std::size_t kMaxPromptBytes = std::size_t{16} << 20;

}  // namespace

void add_question(CLI::App& app, QuestionOptions& options) {
  app.add_option("--image", options.images,
                 "A picture (JPEG, PNG, WebP, GIF, BMP); give the flag once for each picture, in order")
      ->type_name("FILE")
      ->allow_extra_args(false);
  add_prompting(app, options);
}

void add_prompting(CLI::App& app, QuestionOptions& options) {
  app.add_flag("--raw-prompt", options.raw_prompt,
               "Use the prompt as it is, without the chat template; <image> marks the place of each picture");
  app.add_option("--system", options.system, "System message, in place of the model's own")->type_name("TEXT");
  app.add_option("--plan", options.plan,
                 "Skip plan: the name of a built-in plan, or a JSON file (default: the model's own)")
      ->type_name("NAME|FILE");
}

session::Request make_request(const QuestionOptions& options, std::string prompt, const session::Session& session) {
  require(
      !options.raw_prompt || !options.system, Fault::bad_request,
      "--system can't be used with --raw-prompt; write the system text into the prompt, or leave out --raw-prompt.");
  session::Request request;
  request.raw = options.raw_prompt;
  if (options.plan) request.plan = plan::load_plan(*options.plan, session.facts());
  session.check_pictures(options.images.size());
  for (const std::string& file : options.images) {
    request.images.push_back(image::Source::of_file(file, session.decode_options()));
  }
  if (options.raw_prompt) {
    request.text = std::move(prompt);
    return request;
  }
  if (options.system) request.messages.push_back(text::text_message("system", *options.system));
  request.messages.push_back(text::user_message(std::move(prompt), options.images.size()));
  return request;
}

void print_notes(const session::Request& request) {
  for (const image::Source& picture : request.images) {
    if (const std::optional<std::string> note = picture.note()) write_err("note: " + *note + "\n");
  }
}

std::string read_text(const std::string& file) {
  std::ifstream opened;
  if (file != "-") {
    opened.open(file, std::ios::binary);
    require(opened.good(), Fault::bad_file, "The prompt file ", in_quotes(file), " can't be opened; check its path.");
  }
  std::istream& in = file == "-" ? std::cin : opened;
  std::string text(kMaxPromptBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  require(!in.bad(), Fault::bad_file, "The prompt ", in_quotes(file), " can't be read.");
  text.resize(static_cast<std::size_t>(in.gcount()));
  require(text.size() <= kMaxPromptBytes, Fault::bad_file, "The prompt ", in_quotes(file), " is larger than 16 MiB.");
  return text;
}

}  // namespace lithe::cli

#include "cli/question.h"

#include <fstream>
#include <iostream>

#include "base/error.h"
#include "base/printable.h"
#include "cli/standard_output.h"

namespace lithe::cli {
namespace {

constexpr std::size_t kMaxPromptBytes = std::size_t{16} << 20;

}  // namespace

CLI::Option* add_images(CLI::App& app, session::Question& question, const std::string& what) {
  const auto take = [&question](const std::vector<std::string>& files) {
    question.pictures.assign(files.begin(), files.end());
  };
  return app.add_option_function<std::vector<std::string>>("--image", take, what)
      ->type_name("FILE")
      ->allow_extra_args(false);
}

void add_question(CLI::App& app, session::Question& question) {
  add_images(app, question, "A picture (JPEG, PNG, WebP, GIF, BMP); give the flag once for each picture, in order");
  add_prompting(app, question);
}

void add_prompting(CLI::App& app, session::Question& question) {
  CLI::Option* const raw =
      app.add_flag("--raw-prompt", question.raw,
                   "Use the prompt as it is, without the chat template; <image> marks the place of each picture");
  app.add_option("--system", question.system, "System message, in place of the model's own")
      ->type_name("TEXT")
      ->excludes(raw);
  app.add_option("--plan", question.plan,
                 "Skip plan: the name of a built-in plan, a JSON file, or JSON text (default: the model's own)")
      ->type_name("NAME|FILE");
}

std::vector<std::string> files_of(const session::Question& question) {
  std::vector<std::string> files;
  for (const image::Given& picture : question.pictures)
    files.push_back(std::get<std::filesystem::path>(picture).string());
  return files;
}

void print_notes(std::span<const image::Source> pictures) {
  for (const image::Source& picture : pictures) {
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
  require(text.size() <= kMaxPromptBytes, Fault::bad_file, file == "-" ? "Stdin" : "The prompt " + in_quotes(file),
          " holds more than 16 MiB; give a shorter prompt.");
  return text;
}

}  // namespace lithe::cli

#include "text/chat_template.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "text/rust_error.h"
#include "text/settings.h"

namespace lithe::text {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSourceBytes = std::size_t{1} << 20;

/// "chat_template" of a JSON file: a string, or a list of {name, template}, of which "default" is taken.
std::optional<std::string> template_in(const fs::path& path) {
  if (!fs::exists(path)) return std::nullopt;
  const Json json = read_json_file(path, std::size_t{32} << 20);
  const JsonView view(json, path.string());
  const char* kKey = "chat_template";
  if (!view.has(kKey)) return std::nullopt;
  const Json& value = json.at(kKey);
  if (value.is_string()) return value.get<std::string>();
  require(value.is_array() && !value.empty(), Fault::bad_file, path.string(),
          ": \"chat_template\" is neither a text nor a list of named ones");
  for (const Json& item : value) {
    const JsonView named(item, path.string() + ": chat_template");
    if (named.text("name") == "default") return named.text("template");
  }
  return JsonView(value.front(), path.string() + ": chat_template").text("template");
}

/// Calls the crate; without variables it only compiles.
std::string run(const std::string& source, const std::string& origin, const std::string* variables) {
  LitheBytes text{};
  LitheBytes error{};
  const int code = lithe_template_render(source.data(), source.size(), variables ? variables->data() : nullptr,
                                         variables ? variables->size() : 0, &text, &error);
  const bool refused = code == LITHE_TEXT_REFUSED;
  check_rust(code, error, refused ? Fault::bad_request : Fault::bad_file,
             origin + (refused ? ": the chat template refuses the messages" : ": the chat template fails"));
  return take_rust(text);
}

Json content_of(const Message& message, bool wants_parts) {
  if (!wants_parts) return valid_utf8(flatten(message));
  Json parts = Json::array();
  for (const Part& part : message.parts) {
    if (part.kind == Part::Kind::image) {
      parts.push_back({{"type", "image"}});
    } else {
      parts.push_back({{"type", "text"}, {"text", valid_utf8(part.text)}});
    }
  }
  return parts;
}

/// Templates for pictures look at the type of each part of a message's content; others take the content as a text.
bool looks_at_parts(const std::string& source) {
  const auto has = [&source](const char* text) { return source.find(text) != std::string::npos; };
  return has("'type'") || has("\"type\"") || has(".type");
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source, std::string origin)
    : source_(std::move(source)), origin_(std::move(origin)), wants_parts_(looks_at_parts(source_)) {}

ChatTemplate ChatTemplate::from_source(std::string source, std::string origin) {
  require(source.size() <= kMaxSourceBytes, Fault::bad_file, origin, ": the chat template has ", source.size(),
          " bytes, more than ", kMaxSourceBytes);
  run(source, origin, nullptr);
  return ChatTemplate(std::move(source), std::move(origin));
}

std::optional<ChatTemplate> ChatTemplate::open(const fs::path& folder) {
  const fs::path jinja = folder / "chat_template.jinja";
  if (fs::exists(jinja)) return from_source(read_regular_file(jinja, kMaxSourceBytes), jinja.string());
  for (const char* name : {"chat_template.json", "processor_config.json", "tokenizer_config.json"}) {
    const fs::path path = folder / name;
    if (auto source = template_in(path)) return from_source(*source, path.string());
  }
  return std::nullopt;
}

std::string ChatTemplate::render(std::span<const Message> messages, const TemplateOptions& options) const {
  Json list = Json::array();
  for (const Message& message : messages) {
    list.push_back({{"role", valid_utf8(message.role)}, {"content", content_of(message, wants_parts_)}});
  }
  const Json variables = {{"messages", std::move(list)},
                          {"add_generation_prompt", options.add_generation_prompt},
                          {"bos_token", valid_utf8(options.bos_token)},
                          {"eos_token", valid_utf8(options.eos_token)},
                          {"tools", nullptr},
                          {"documents", nullptr}};
  const std::string text = variables.dump();
  return run(source_, origin_, &text);
}

}  // namespace lithe::text

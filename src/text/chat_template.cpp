#include "text/chat_template.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "text/rust_boundary.h"
#include "text/settings.h"

namespace lithe::text {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSourceBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxJsonBytes = std::size_t{32} << 20;
/// A template that ends its work on messages up to this length is not to blame if it fails on longer ones.
constexpr std::size_t kLongMessages = std::size_t{64} << 10;
constexpr const char* kKey = "chat_template";
constexpr const char* kDefault = "default";

/// The one named "default" of a list of {name, template}.
std::optional<std::string> default_in_list(const Json& list, const std::string& where, std::string& names) {
  for (const Json& item : list) {
    const JsonView named(item, where);
    if (named.text("name") == kDefault) return named.text("template");
    names += (names.empty() ? "" : ", ") + in_quotes(named.text("name"));
  }
  return std::nullopt;
}

/// The same of an object of templates by their names.
std::optional<std::string> default_in_object(const Json& object, const std::string& where, std::string& names) {
  if (object.contains(kDefault)) return JsonView(object, where).text(kDefault);
  for (const auto& item : object.items()) names += (names.empty() ? "" : ", ") + in_quotes(item.key());
  return std::nullopt;
}

/// "chat_template" of a JSON file.
std::optional<std::string> template_in(const fs::path& path) {
  if (!fs::exists(path)) return std::nullopt;
  const Json json = read_json_file(path, kMaxJsonBytes);
  if (!JsonView(json, path.string()).has(kKey)) return std::nullopt;
  const Json& value = json.at(kKey);
  if (value.is_string()) return value.get<std::string>();
  const std::string where = concat(path.string(), ": ", kKey);
  require(value.is_array() || value.is_object(), Fault::bad_file, where,
          " is neither a text nor several named ones; put the template's text there");
  std::string names;
  auto found = value.is_array() ? default_in_list(value, where, names) : default_in_object(value, where, names);
  require(found.has_value(), Fault::bad_file, where, " holds templates, but none with the name \"default\" (",
          names.empty() ? "none at all" : names, "); name the one to use \"default\"");
  return found;
}

/// The template is not to blame if the system refuses its thread.
void require_thread(int code, const std::string& origin, LitheBytes error) {
  if (code != LITHE_RUST_NO_THREAD) return;
  fail(Fault::no_memory, origin, ": there is too little memory for a thread that renders the chat template (",
       take_rust(error), "); free memory, or end some programs");
}

/// Calls the crate; without variables it only compiles.
std::string run(const std::string& source, const std::string& origin, const std::string* variables) {
  LitheBytes text{};
  LitheBytes error{};
  const int code = lithe_template_render(source.data(), source.size(), variables ? variables->data() : nullptr,
                                         variables ? variables->size() : 0, false, &text, &error);
  if (code == LITHE_RUST_TOO_MUCH && variables && variables->size() > kLongMessages) {
    fail(Fault::bad_request, "the prompt has ", variables->size(),
         " bytes, which is too much for the chat template of ", origin, " (", take_rust(error), "); shorten it");
  }
  require_thread(code, origin, error);
  const bool refused = code == LITHE_RUST_REFUSED;
  check_rust(code, error, refused ? Fault::bad_request : Fault::bad_file,
             origin + (refused ? ": the chat template refuses the messages" : ": the chat template fails"));
  return take_rust(text);
}

Json variables_of(Json messages, const TemplateOptions& options) {
  Json variables = {{"messages", std::move(messages)},
                    {"add_generation_prompt", options.add_generation_prompt},
                    {"bos_token", valid_utf8(options.bos_token)},
                    {"eos_token", valid_utf8(options.eos_token)},
                    {"image_token", kImageMark},
                    {"tools", nullptr},
                    {"documents", nullptr}};
  if (!options.unk_token.empty()) variables["unk_token"] = valid_utf8(options.unk_token);
  if (!options.pad_token.empty()) variables["pad_token"] = valid_utf8(options.pad_token);
  return variables;
}

/// What a template makes of short messages; absent if it fails or refuses them.
std::optional<std::string> probe(const std::string& source, const Json& messages) {
  const std::string variables =
      variables_of(messages, {.bos_token = "<s>", .eos_token = "</s>", .unk_token = {}, .pad_token = {}}).dump();
  LitheBytes text{};
  LitheBytes error{};
  const int code =
      lithe_template_render(source.data(), source.size(), variables.data(), variables.size(), true, &text, &error);
  if (code == LITHE_RUST_OK) return take_rust(text);
  take_rust(error);
  return std::nullopt;
}

/// chat_template.jinja, else additional_chat_templates/default.jinja.
std::optional<fs::path> jinja_in(const fs::path& folder) {
  for (const fs::path& path : {folder / "chat_template.jinja", folder / "additional_chat_templates/default.jinja"}) {
    if (fs::exists(path)) return path;
  }
  return std::nullopt;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source, std::string origin)
    : source_(std::move(source)), origin_(std::move(origin)) {
  forms_ = find_forms([this](const Json& messages) { return probe(source_, messages); });
}

ChatTemplate ChatTemplate::from_source(std::string source, std::string origin) {
  require(source.size() <= kMaxSourceBytes, Fault::bad_file, origin, ": the chat template has ", source.size(),
          " bytes, more than ", kMaxSourceBytes);
  run(source, origin, nullptr);
  return ChatTemplate(std::move(source), std::move(origin));
}

std::optional<ChatTemplate> ChatTemplate::open(const fs::path& folder) {
  for (const char* name : {"processor_config.json", "chat_template.json"}) {
    if (auto source = template_in(folder / name)) return from_source(*source, (folder / name).string());
  }
  if (const auto jinja = jinja_in(folder))
    return from_source(read_regular_file(*jinja, kMaxSourceBytes), jinja->string());
  const fs::path settings = folder / "tokenizer_config.json";
  if (auto source = template_in(settings)) return from_source(*source, settings.string());
  return std::nullopt;
}

std::string ChatTemplate::render(std::span<const Message> messages, const TemplateOptions& options) const {
  Json list = Json::array();
  for (const Message& message : messages) {
    list.push_back({{"role", valid_utf8(message.role)}, {"content", content_in(forms_.of(message.role), message)}});
  }
  const std::string variables = variables_of(std::move(list), options).dump();
  return run(source_, origin_, &variables);
}

}  // namespace lithe::text

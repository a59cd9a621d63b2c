#include "text/settings.h"

#include <charconv>

#include "base/error.h"
#include "base/json.h"

namespace lithe::text {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSettingsBytes = std::size_t{32} << 20;
constexpr int64_t kMaxId = int64_t{1} << 31;

/// A token is written as its text, or as an object with its flags.
std::optional<AddedToken> token_of(const Json& json, const std::string& source) {
  if (json.is_null()) return std::nullopt;
  if (json.is_string()) return AddedToken{.content = json.get<std::string>(), .special = true};
  const JsonView view(json, source);
  return AddedToken{.content = view.text("content"),
                    .special = view.boolean("special", true),
                    .lstrip = view.boolean("lstrip", false),
                    .rstrip = view.boolean("rstrip", false),
                    .single_word = view.boolean("single_word", false)};
}

void read_special(const JsonView& view, Settings& settings) {
  const std::pair<const char*, std::optional<AddedToken>*> fields[] = {{"bos_token", &settings.bos},
                                                                       {"eos_token", &settings.eos},
                                                                       {"pad_token", &settings.pad},
                                                                       {"unk_token", &settings.unk}};
  for (const auto& [key, field] : fields) {
    if (view.has(key)) *field = token_of(view.json().at(key), view.source() + ": " + key);
  }
  const char* kAdditional = "additional_special_tokens";
  if (!view.has(kAdditional)) return;
  const Json& list = view.json().at(kAdditional);
  require(list.is_array(), Fault::bad_file, view.source(), ": \"", kAdditional, "\" is not a list");
  for (const Json& item : list) {
    if (auto token = token_of(item, view.source() + ": " + kAdditional)) settings.additional_special.push_back(*token);
  }
}

void read_added_decoder(const JsonView& decoder, Settings& settings) {
  for (const auto& [key, item] : decoder.json().items()) {
    int64_t id = -1;
    const auto [end, code] = std::from_chars(key.data(), key.data() + key.size(), id);
    require(code == std::errc() && end == key.data() + key.size() && id >= 0 && id < kMaxId, Fault::bad_file,
            decoder.source(), ": \"", key, "\" is not a token id");
    auto token = token_of(item, decoder.source());
    require(token.has_value(), Fault::bad_file, decoder.source(), ": token ", id, " has no text");
    token->special = JsonView(item.is_object() ? item : Json::object(), decoder.source()).boolean("special", false);
    settings.added[id] = *token;
  }
}

void read_added_tokens(const fs::path& path, Settings& settings) {
  const Json added = read_json_file(path, kMaxSettingsBytes);
  const JsonView view(added, path.string());
  for (const auto& [content, id] : added.items()) {
    require(id.is_number_integer() && id.get<int64_t>() >= 0 && id.get<int64_t>() < kMaxId, Fault::bad_file,
            path.string(), ": the id of \"", content, "\" is not a whole number from 0 to 2^31");
    settings.added.try_emplace(id.get<int64_t>(), AddedToken{.content = content});
  }
}

}  // namespace

Settings read_settings(const fs::path& folder) {
  Settings settings;
  const fs::path config_path = folder / "tokenizer_config.json";
  const fs::path map_path = folder / "special_tokens_map.json";
  const fs::path added_path = folder / "added_tokens.json";
  if (fs::exists(map_path)) {
    const Json map = read_json_file(map_path, kMaxSettingsBytes);
    read_special(JsonView(map, map_path.string()), settings);
  }
  if (fs::exists(config_path)) {
    const Json config = read_json_file(config_path, kMaxSettingsBytes);
    const JsonView view(config, config_path.string());
    read_special(view, settings);
    settings.add_bos = view.boolean("add_bos_token", true);
    settings.add_eos = view.boolean("add_eos_token", false);
    settings.legacy = view.boolean("legacy", true);
    if (view.has("added_tokens_decoder")) read_added_decoder(view.object("added_tokens_decoder"), settings);
  }
  if (fs::exists(added_path)) read_added_tokens(added_path, settings);
  return settings;
}

}  // namespace lithe::text

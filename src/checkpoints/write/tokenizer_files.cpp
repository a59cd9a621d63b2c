#include "checkpoints/write/tokenizer_files.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "io/atomic_file.h"
#include "io/new_folder.h"
#include "text/message.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTokenizer = "tokenizer.json";
constexpr const char* kSettings = "tokenizer_config.json";
constexpr const char* kGeneration = "generation_config.json";
constexpr const char* kAdded = "added_tokens";
constexpr const char* kAddedDecoder = "added_tokens_decoder";
constexpr const char* kSuppressed = "suppress_tokens";

/// Copies an object of JSON, changed; nothing if there is no such file.
void rewrite(const TokenizerChange& change, const char* name, const std::function<void(Json&)>& edit) {
  if (!fs::exists(change.from / name)) return;
  Json json = read_json_file(change.from / name);
  require(json.is_object(), Fault::bad_file, (change.from / name).string(), ": holds no JSON object");
  edit(json);
  io::write_json_atomic(change.to / name, json);
}

void copy(const TokenizerChange& change, const char* name) {
  if (fs::exists(change.from / name)) io::copy_file(change.from / name, change.to / name);
}

/// The list or object of tokens that a file holds or may get. Throws Error{bad_file} if it is something else.
Json& tokens_of(Json& json, const char* key, Json empty, const fs::path& file) {
  const Json::value_t type = empty.type();
  if (!json.contains(key)) json[key] = std::move(empty);
  require(json[key].type() == type, Fault::bad_file, file.string(), ": '", key, "' is ", json[key].type_name());
  return json[key];
}

Json mark_flags() {
  return {{"content", text::kImageMark}, {"lstrip", false}, {"normalized", false}, {"rstrip", false},
          {"single_word", false},        {"special", true}};
}

bool is_mark(const Json& token, int64_t id) {
  return token.is_object() && token.value("content", Json()) == text::kImageMark && token.value("id", Json()) == id;
}

/// Settings of a tokenizer that comes without any; a word more, and "</s>" in a text would become another token.
Json usual_settings() {
  return {{"tokenizer_class", "LlamaTokenizer"}, {"legacy", true}};
}

void add_to_settings(const TokenizerChange& change, int64_t id) {
  Json json = fs::exists(change.from / kSettings) ? read_json_file(change.from / kSettings) : usual_settings();
  require(json.is_object(), Fault::bad_file, (change.from / kSettings).string(), ": holds no JSON object");
  tokens_of(json, kAddedDecoder, Json::object(), change.from / kSettings)[std::to_string(id)] = mark_flags();
  json["image_token"] = text::kImageMark;
  io::write_json_atomic(change.to / kSettings, json);
}

/// The ids of the file's own suppress_tokens below `vocab`.
Json own_suppressed(const Json& json, int64_t vocab) {
  Json kept = Json::array();
  if (!json.contains(kSuppressed) || !json[kSuppressed].is_array()) return kept;
  for (const Json& id : json[kSuppressed]) {
    if (!id.is_number_integer() || id.get<int64_t>() < vocab) kept.push_back(id);
  }
  return kept;
}

/// generation_config.json; if there is none, one that changes nothing but the suppressed rows.
void suppress_rows(const TokenizerChange& change, int64_t vocab, int64_t rows) {
  const auto add_rows = [&](Json suppressed) {
    for (int64_t id = vocab; id < rows; ++id) suppressed.push_back(id);
    return suppressed;
  };
  if (!fs::exists(change.from / kGeneration)) {
    const Json json = {{"top_k", 0}, {kSuppressed, add_rows(Json::array())}};
    return io::write_json_atomic(change.to / kGeneration, json);
  }
  rewrite(change, kGeneration, [&](Json& json) { json[kSuppressed] = add_rows(own_suppressed(json, vocab)); });
}

}  // namespace

void add_image_mark(const TokenizerChange& change, const ImageMark& mark, int64_t vocab) {
  if (mark.rows > vocab)
    suppress_rows(change, vocab, mark.rows);
  else
    copy(change, kGeneration);
  const bool has_tokenizer = fs::exists(change.from / kTokenizer) || fs::exists(change.from / "tokenizer.model");
  if (!mark.added || !has_tokenizer) {
    copy(change, kTokenizer);
    copy(change, kSettings);
    return;
  }
  rewrite(change, kTokenizer, [&](Json& json) {
    Json token = {{"id", mark.id}};
    token.update(mark_flags());
    tokens_of(json, kAdded, Json::array(), change.from / kTokenizer).push_back(token);
  });
  add_to_settings(change, mark.id);
}

void drop_image_mark(const TokenizerChange& change, int64_t added, std::optional<int64_t> vocab) {
  if (vocab) {
    rewrite(change, kGeneration, [&](Json& json) {
      const Json own = own_suppressed(json, *vocab);
      json.erase(kSuppressed);
      if (!own.empty()) json[kSuppressed] = own;
    });
  } else {
    copy(change, kGeneration);
  }
  if (added < 0) {
    copy(change, kTokenizer);
    copy(change, kSettings);
    return;
  }
  rewrite(change, kTokenizer, [&](Json& json) {
    Json kept = Json::array();
    for (const Json& token : tokens_of(json, kAdded, Json::array(), change.from / kTokenizer)) {
      if (!is_mark(token, added)) kept.push_back(token);
    }
    json[kAdded] = std::move(kept);
  });
  rewrite(change, kSettings, [&](Json& json) {
    json.erase("image_token");
    Json& tokens = tokens_of(json, kAddedDecoder, Json::object(), change.from / kSettings);
    tokens.erase(std::to_string(added));
    if (tokens.empty()) json.erase(kAddedDecoder);
  });
}

}  // namespace lithe::models

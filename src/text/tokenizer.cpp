#include "text/tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "text/engine.h"
#include "text/token_bytes.h"
#include "text/token_list.h"

namespace lithe::text {
namespace {

namespace fs = std::filesystem;

std::string checked(std::string_view text) {
  require(text.size() <= kMaxTextBytes, Fault::bad_request, "the text has ", text.size(), " bytes, at most ",
          kMaxTextBytes, " can be tokenised at once; shorten it");
  return valid_utf8(text);
}

bool adds_image_mark(const fs::path& tokenizer_json) {
  const Json json = read_json_file(tokenizer_json);
  const auto added = json.is_object() ? json.find("added_tokens") : json.end();
  if (!json.is_object() || added == json.end() || !added->is_array()) return false;
  return std::any_of(added->begin(), added->end(), [](const Json& token) {
    return token.is_object() && token.value("content", Json()) == kImageMark;
  });
}

std::unique_ptr<Engine> open_engine(const fs::path& folder, const Settings& settings, Dialect dialect) {
  const fs::path json = folder / "tokenizer.json";
  const fs::path model = folder / "tokenizer.model";
  const bool has_json = fs::exists(json);
  const bool has_model = fs::exists(model);
  require(has_json || has_model, Fault::bad_file, folder.string(),
          ": no tokenizer.json and no tokenizer.model; copy one from the model's origin");
  // Models of the original layout were made with the slow tokenizer; those of transformers' layout know the mark.
  const bool fast = !has_model || (has_json && dialect == Dialect::hf && adds_image_mark(json));
  return fast ? open_json_engine(json) : open_sentencepiece_engine(model, settings);
}

std::vector<std::string> cut_at_marks(const std::string& prompt) {
  const std::string_view mark = kImageMark;
  std::vector<std::string> chunks;
  std::size_t start = 0;
  for (std::size_t at = prompt.find(mark); at != std::string::npos; at = prompt.find(mark, start)) {
    chunks.push_back(prompt.substr(start, at - start));
    start = at + mark.size();
  }
  chunks.push_back(prompt.substr(start));
  return chunks;
}

}  // namespace

struct Tokenizer::State {
  Settings settings;
  std::unique_ptr<Engine> engine;

  std::optional<int64_t> find(const std::optional<AddedToken>& token, const char* usual) const {
    return engine->vocabulary().find(token ? token->content : usual);
  }
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::open(const fs::path& folder, Dialect dialect) {
  auto state = std::make_unique<State>();
  state->settings = read_settings(folder);
  state->engine = open_engine(folder, state->settings, dialect);
  return Tokenizer(std::move(state));
}

Tokenizer Tokenizer::of(const TokenList& list) {
  auto state = std::make_unique<State>();
  state->settings = settings_of(list);
  state->engine = engine_of(list, state->settings);
  return Tokenizer(std::move(state));
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, bool add_special) const {
  return state_->engine->encode(checked(text), add_special);
}

std::vector<int64_t> Tokenizer::encode_with_images(std::string_view prompt, Dialect dialect) const {
  const std::string text = checked(prompt);
  const auto image = id_of(kImageMark);
  if (dialect == Dialect::hf && image) {
    std::vector<int64_t> ids = state_->engine->encode(text, true);
    std::replace(ids.begin(), ids.end(), *image, kImageId);
    const bool doubled =
        ids.size() > 1 && bos() && ids[0] == *bos() && ids[1] == *bos() && text.starts_with(bos_text());
    if (doubled) ids.erase(ids.begin());
    return ids;
  }
  std::vector<int64_t> ids;
  bool has_bos = false;
  const std::vector<std::string> chunks = cut_at_marks(text);
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const std::vector<int64_t> chunk = state_->engine->encode_chunk(chunks[i]);
    if (i == 0) has_bos = !chunk.empty() && bos() && chunk[0] == *bos();
    if (i > 0) ids.push_back(kImageId);
    // Every chunk begins with BOS if the first does; only the first one's stays.
    const std::size_t skipped = i > 0 && has_bos && !chunk.empty() ? 1 : 0;
    ids.insert(ids.end(), chunk.begin() + static_cast<long>(skipped), chunk.end());
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool skip_special) const {
  const auto& tokens = state_->engine->vocabulary().tokens;
  std::vector<int64_t> known;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(known), [&](int64_t id) { return tokens.contains(id); });
  return valid_utf8(state_->engine->decode(known, skip_special));
}

std::optional<int64_t> Tokenizer::id_of(std::string_view token) const {
  return state_->engine->vocabulary().find(std::string(token));
}

std::string Tokenizer::token_of(int64_t id) const {
  const auto& tokens = state_->engine->vocabulary().tokens;
  const auto found = tokens.find(id);
  require(found != tokens.end(), Fault::bad_request, "token id ", id, " is not in the vocabulary of ", size(), " ids");
  return found->second;
}

int64_t Tokenizer::size() const {
  return state_->engine->vocabulary().size;
}
bool Tokenizer::has_id(int64_t id) const {
  return state_->engine->vocabulary().tokens.contains(id);
}
bool Tokenizer::is_special(int64_t id) const {
  return state_->engine->vocabulary().special.contains(id);
}
bool Tokenizer::is_added(int64_t id) const {
  return state_->engine->vocabulary().added.contains(id);
}
std::string Tokenizer::bytes_of(int64_t id) const {
  return bytes_of_token(state_->engine->vocabulary(), id);
}
bool Tokenizer::adds_bos() const {
  const std::vector<int64_t> ids = state_->engine->encode("", true);
  return bos() && !ids.empty() && ids[0] == *bos();
}
bool Tokenizer::legacy() const {
  return state_->settings.legacy;
}
bool Tokenizer::decodes_byte_runs_whole() const {
  return state_->engine->decodes_byte_runs_whole();
}

std::optional<int64_t> Tokenizer::bos() const {
  return state_->find(state_->settings.bos, "<s>");
}
std::optional<int64_t> Tokenizer::eos() const {
  return state_->find(state_->settings.eos, "</s>");
}
std::optional<int64_t> Tokenizer::unk() const {
  return state_->find(state_->settings.unk, "<unk>");
}
std::optional<int64_t> Tokenizer::pad() const {
  return state_->find(state_->settings.pad, "<pad>");
}

std::string Tokenizer::bos_text() const {
  return bos() ? token_of(*bos()) : "";
}
std::string Tokenizer::eos_text() const {
  return eos() ? token_of(*eos()) : "";
}

}  // namespace lithe::text

#include "text/token_list.h"

#include "base/error.h"
#include "base/printable.h"
#include "text/engine.h"
#include "text/token_list_files.h"

namespace lithe::text {
namespace {

std::optional<AddedToken> token_at(const TokenList& list, const char* name, const std::optional<int64_t>& id) {
  constexpr int64_t kNone = 0xffffffff;  // how llama.cpp writes -1, "there is none"
  if (!id || *id == -1 || *id == kNone) return std::nullopt;
  require(*id >= 0 && *id < static_cast<int64_t>(list.tokens.size()), Fault::bad_file, list.source, ": the id of its ",
          name, " token is ", *id, ", and it has ", list.tokens.size(), " tokens");
  return AddedToken{.content = list.tokens[static_cast<std::size_t>(*id)], .special = true};
}

}  // namespace

std::optional<std::string> not_supported(const TokenList& list) {
  if (list.model == "llama") return std::nullopt;
  if (list.model != "gpt2") return "the tokenizer " + in_quotes(list.model);
  if (!knows_pre_tokenizer(list.pre)) return "the pre-tokenizer " + in_quotes(list.pre);
  return std::nullopt;
}

Settings settings_of(const TokenList& list) {
  const std::size_t count = list.tokens.size();
  require(count > 0, Fault::bad_file, list.source, ": its tokenizer has no tokens");
  require(list.kinds.empty() || list.kinds.size() == count, Fault::bad_file, list.source, ": its tokenizer has ", count,
          " tokens, and types for ", list.kinds.size());
  Settings settings;
  settings.bos = token_at(list, "BOS", list.bos);
  settings.eos = token_at(list, "EOS", list.eos);
  settings.unk = token_at(list, "unknown", list.unk);
  settings.pad = token_at(list, "padding", list.pad);
  for (std::size_t id = 0; id < count; ++id) {
    const TokenKind kind = list.kind(id);
    if (kind != TokenKind::control && kind != TokenKind::user_defined) continue;
    settings.added[static_cast<int64_t>(id)] = {.content = list.tokens[id], .special = kind == TokenKind::control};
  }
  settings.add_bos = list.add_bos.value_or(list.model == "llama" || begins_with_bos(list.pre));
  settings.add_eos = list.add_eos.value_or(false);
  return settings;
}

std::unique_ptr<Engine> engine_of(const TokenList& list, const Settings& settings) {
  if (const auto part = not_supported(list))
    fail(Fault::bad_file, list.source, ": ", *part, " is not supported; put the tokenizer.json or tokenizer.model of ",
         "the original model into its folder");
  return list.model == "llama" ? make_sentencepiece_engine(sentencepiece_model_of(list), list.source, settings)
                               : make_json_engine(tokenizer_json_of(list, settings), list.source);
}

}  // namespace lithe::text

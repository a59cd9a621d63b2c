#include "checkpoints/read/gguf/prompting.h"

#include <filesystem>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/family.h"
#include "text/conversation.h"
#include "text/token_list.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

std::string tokenizer_key(const char* name) {
  return std::string("tokenizer.ggml.") + name;
}

std::optional<int64_t> id_of(const io::GgufFile& file, const char* name) {
  return file.has(tokenizer_key(name)) ? std::optional(file.integer(tokenizer_key(name))) : std::nullopt;
}

std::optional<bool> flag_of(const io::GgufFile& file, const char* name) {
  return file.has(tokenizer_key(name)) ? std::optional(file.boolean(tokenizer_key(name), false)) : std::nullopt;
}

text::TokenKind kind_of(int64_t number) {
  return number >= 1 && number <= 6 ? static_cast<text::TokenKind>(number) : text::TokenKind::normal;
}

text::TokenList token_list(const io::GgufFile& file) {
  text::TokenList list{
      .source = file.file(), .model = file.text(tokenizer_key("model")), .pre = file.text(tokenizer_key("pre"), "")};
  if (not_supported(list)) return list;  // the rest need not make sense
  list.tokens = file.texts(tokenizer_key("tokens"));
  for (const double score : file.numbers(tokenizer_key("scores"))) list.scores.push_back(static_cast<float>(score));
  for (const int64_t number : file.integers(tokenizer_key("token_type"))) list.kinds.push_back(kind_of(number));
  list.merges = file.texts(tokenizer_key("merges"));
  list.bos = id_of(file, "bos_token_id");
  list.eos = id_of(file, "eos_token_id");
  list.unk = id_of(file, "unknown_token_id");
  list.pad = id_of(file, "padding_token_id");
  list.add_bos = flag_of(file, "add_bos_token");
  list.add_eos = flag_of(file, "add_eos_token");
  list.add_space_prefix = file.boolean(tokenizer_key("add_space_prefix"), true);
  list.remove_extra_spaces = file.boolean(tokenizer_key("remove_extra_whitespaces"), false);
  return list;
}

void read_tokenizer(const io::GgufFile& file, Model& model) {
  if (!file.has(tokenizer_key("model"))) return;  // what lies beside the file counts
  const text::TokenList list = token_list(file);
  const std::optional<std::string> unsupported = not_supported(list);
  if (!unsupported || !has_tokenizer(model.folder)) {
    model.prompting.tokenizer = text::Tokenizer::of(list);
    return;
  }
  model.prompting.tokenizer = text::Tokenizer::open(model.folder, model.prompting.dialect);
  model.notes.push_back(
      concat(file.file(), ": ", *unsupported, " is not supported, so the tokenizer files beside it are used"));
}

/// What the names of the file and its folder, and the name in the metadata, say of the conversation.
std::optional<std::string> conversation_of(const io::GgufFile& file, const fs::path& folder) {
  const std::string stem = fs::path(file.file()).stem().string();
  if (const auto named = text::conversation_for({.folder = stem})) return named;
  return text::conversation_for({.folder = folder.filename().string(), .base = file.text("general.name", "")});
}

}  // namespace

std::set<int64_t> eos_ids_of(const io::GgufFile& file, const Model& model) {
  std::set<int64_t> ids;
  for (const char* const name : {"eos_token_id", "eot_token_id", "eom_token_id"})
    if (const auto id = id_of(file, name)) ids.insert(*id);
  if (!model.prompting.tokenizer) return ids;
  for (const char* const name :
       {"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>", "<EOT>"}) {
    const auto id = model.prompting.tokenizer->id_of(name);
    if (id && model.prompting.tokenizer->is_special(*id)) ids.insert(*id);
  }
  return ids;
}

void read_prompting(const io::GgufFile& file, Model& model) {
  constexpr const char* kTemplate = "tokenizer.chat_template";
  model.prompting.dialect = text::Dialect::hf;
  read_tokenizer(file, model);
  if (file.has(kTemplate)) {
    model.prompting.chat_template =
        text::ChatTemplate::from_source(file.text(kTemplate), concat(file.file(), ": ", kTemplate));
    return;
  }
  model.prompting.chat_template = text::ChatTemplate::open(model.folder);
  if (model.prompting.chat_template) return;
  const std::optional<std::string> named = conversation_of(file, model.folder);
  model.prompting.conversation = named.value_or("vicuna_v1");
  model.prompting.stop_strings = {text::conversation_stop(model.prompting.conversation)};
  if (named) return;
  model.notes.push_back(concat(file.file(),
                               ": neither its metadata nor its name says which conversation the model was trained "
                               "with, so vicuna_v1 is assumed; if that is wrong, put the chat_template.jinja of the "
                               "original model into its folder"));
}

}  // namespace lithe::models

#include "models/prompting.h"

#include "text/conversation.h"

namespace lithe::models {

std::string Prompting::render(const std::vector<text::Message>& messages, bool open) const {
  if (!chat_template) return text::render_conversation(conversation, messages, open);
  text::TemplateOptions options{.add_generation_prompt = open};
  const auto text_of = [&](const std::optional<int64_t>& id) { return id ? tokenizer->token_of(*id) : ""; };
  if (tokenizer) {
    options.bos_token = tokenizer->bos_text();
    options.eos_token = tokenizer->eos_text();
    options.unk_token = text_of(tokenizer->unk());
    options.pad_token = text_of(tokenizer->pad());
  }
  std::string text = chat_template->render(messages, options);
  // The tokenizer adds BOS by itself, so one that the template wrote would be a second.
  const bool own_bos =
      dialect == text::Dialect::original && tokenizer && tokenizer->adds_bos() && text.starts_with(options.bos_token);
  if (own_bos) text.erase(0, options.bos_token.size());
  return text;
}

}  // namespace lithe::models

#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "text/message.h"
#include "text/template_forms.h"

namespace lithe::text {

/// What a chat template sees besides the messages. Tokens that a tokenizer does not have are empty.
struct TemplateOptions {
  bool add_generation_prompt = true;  ///< End with the head of the assistant's answer.
  std::string bos_token, eos_token, unk_token, pad_token;
};

/// A Jinja chat template with the settings that transformers gives it: trim_blocks, lstrip_blocks, loop controls,
/// raise_exception, strftime_now, tojson, {% generation %}. Work and output are bounded. Const calls are thread-safe.
class ChatTemplate {
 public:
  /// The template of a model folder, in the order of transformers: "chat_template" of processor_config.json,
  /// chat_template.json, chat_template.jinja (or "default" in additional_chat_templates/), "chat_template" of
  /// tokenizer_config.json. A key holds a text, or several named ones, of which "default" is taken. Absent if the
  /// folder has none. Throws Error{bad_file}.
  static std::optional<ChatTemplate> open(const std::filesystem::path& folder);
  /// Throws Error{bad_file} when the source does not compile; `origin` names it in errors.
  static ChatTemplate from_source(std::string source, std::string origin);

  /// The prompt. Pictures come out as "<image>". Contents are handed over in the form that the template reads
  /// (template_forms.h). Throws Error{bad_request} if the template refuses the messages (raise_exception) or they are
  /// too long for it, Error{bad_file} if it fails.
  std::string render(std::span<const Message> messages, const TemplateOptions& options) const;

  const std::string& source() const { return source_; }
  const std::string& origin() const { return origin_; }  ///< The file, for errors.
  bool drops_text() const { return forms_.drops_text; }  ///< What the user writes does not come out.

 private:
  ChatTemplate(std::string source, std::string origin);

  std::string source_;
  std::string origin_;
  ContentForms forms_;
};

}  // namespace lithe::text

#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "text/message.h"

namespace lithe::text {

/// What a chat template sees besides the messages.
struct TemplateOptions {
  bool add_generation_prompt = true;  ///< End with the head of the assistant's answer.
  std::string bos_token;
  std::string eos_token;
};

/// A Jinja chat template with the settings that transformers gives it: trim_blocks, lstrip_blocks, loop controls,
/// raise_exception, strftime_now, tojson, {% generation %}. Work and output are bounded. Const calls are thread-safe.
class ChatTemplate {
 public:
  /// The template of a model folder: chat_template.jinja, else chat_template.json, else "chat_template" of
  /// processor_config.json or tokenizer_config.json (a string, or a list of {name, template}, of which "default" is
  /// taken). Absent when the folder has none. Throws Error{bad_file}.
  static std::optional<ChatTemplate> open(const std::filesystem::path& folder);
  /// Throws Error{bad_file} when the source does not compile; `origin` names it in errors.
  static ChatTemplate from_source(std::string source, std::string origin);

  /// The prompt. Images come out as "<image>". A template that works over content parts gets parts; one that expects
  /// strings gets `flatten(message)`. Throws Error{bad_request} when the template refuses the messages
  /// (raise_exception), Error{bad_file} when it fails.
  std::string render(std::span<const Message> messages, const TemplateOptions& options) const;

  const std::string& source() const { return source_; }

 private:
  ChatTemplate(std::string source, std::string origin);

  std::string source_;
  std::string origin_;
  bool wants_parts_;
};

}  // namespace lithe::text

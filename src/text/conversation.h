#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/message.h"

namespace lithe::text {

/// How a conversation lays out its turns.
enum class Layout { turns, chatml, llama_2, llama_3, gemma, plain, lavin };

/// An original LLaVA conversation, or LaVIN's: the texts around the messages.
struct Conversation {
  const char* name;
  Layout layout;
  const char* system_head;  ///< In front of the system text, also of one that a request brings.
  const char* system;
  const char* user;       ///< Head of a user turn.
  const char* assistant;  ///< Head of an assistant turn.
  const char* separator;  ///< After the system text and after a user turn.
  const char* end;        ///< After an assistant turn.
  const char* stop;       ///< Generation ends at this text.
  bool tagged = false;    ///< Training writes <Image><image></Image>.
};

/// The conversation of a name, or of a published second name ("v1", "mistral_direct", "qwen_2").
/// Throws Error{bad_request} with the names there are.
const Conversation& conversation_named(std::string_view name);

/// The names of the conversations of LLaVA, LLaVA-NeXT and LaVIN: "vicuna_v1", "llava_llama_3", "qwen_1_5", "plain",
/// "lavin", ...
std::vector<std::string> conversation_names();

/// What the public LLaVA code could tell about a model's conversation.
struct ConversationHints {
  std::string folder;      ///< The folder's name. Of a "checkpoint-.." the parent's name stands in front.
  std::string model_type;  ///< Of config.json.
  std::string base;        ///< "_name_or_path" of config.json: what the model was trained from.
};

/// The conversation that the hints name: the folder's name first ("llama-2", "mistral", "v1.6-34b", "v1", "mpt", "v0",
/// and of LLaVA-NeXT "llama3", "qwen", "gemma"), then model_type, then the base. Absent if none of them says which.
std::optional<std::string> conversation_for(const ConversationHints& hints);

/// The prompt of an original LLaVA conversation. `open`: the prompt ends with the head of the assistant's answer, which
/// the messages do not hold. A "system" message in front replaces the conversation's own. An assistant turn before
/// the first user turn is dropped, as the public code does; roles must alternate from there.
/// Throws Error{bad_request}: unknown name, wrong order of roles, a conversation that cannot write these messages.
std::string render_conversation(std::string_view name, std::span<const Message> messages, bool open);

/// The text at which generation for this conversation stops ("</s>", "###", "<|im_end|>"). Throws Error{bad_request}.
std::string conversation_stop(std::string_view name);

/// What training does to user texts before the template: trims, moves "<image>" to the front as a line of its own
/// ("<Image><image></Image>" for the "mmtag" conversations). Works in place on every message that holds a mark.
void move_image_mark(std::string_view name, std::vector<Message>& messages);

}  // namespace lithe::text

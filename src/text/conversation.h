#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/message.h"

namespace lithe::text {

/// How a conversation lays out its turns.
enum class Layout { turns, chatml, llama_2, plain };

/// An original LLaVA conversation: the texts around the messages.
struct Conversation {
  const char* name;
  Layout layout;
  const char* system;
  const char* user;       ///< Head of a user turn.
  const char* assistant;  ///< Head of an assistant turn.
  const char* separator;  ///< Behind the system text and a user turn.
  const char* end;        ///< Behind an assistant turn; generation stops there.
  bool tagged;            ///< Training writes <Image><image></Image>.
};

/// The conversation of a name, or of a published second name ("v1", "mistral_direct", "v0_plain").
/// Throws Error{bad_request} with the names there are.
const Conversation& conversation_named(std::string_view name);

/// The names of the original LLaVA conversations: "vicuna_v1", "llava_llama_2", "plain", "chatml_direct", ...
std::vector<std::string> conversation_names();

/// The conversation that the public LLaVA code picks for a model: by the folder's name ("llama-2", "mistral",
/// "v1.6-34b", "v1", "mpt", "v0"), else by model_type, else "vicuna_v1".
std::string conversation_for(std::string_view model_name, std::string_view model_type);

/// The prompt of an original LLaVA conversation. `open`: the prompt ends with the head of the assistant's answer, which
/// the messages do not hold. A "system" message in front replaces the conversation's own. An assistant turn in front of
/// the first user turn is dropped, as the public code does; roles must alternate from there.
/// Throws Error{bad_request}: unknown name, wrong order of roles, a conversation that cannot write these messages.
std::string render_conversation(std::string_view name, std::span<const Message> messages, bool open);

/// The text at which generation for this conversation stops ("</s>", "###", "<|im_end|>"). Throws Error{bad_request}.
std::string conversation_stop(std::string_view name);

/// What training does to user texts before the template: trims, moves "<image>" to the front as a line of its own
/// ("<Image><image></Image>" for the "mmtag" conversations). Works in place on every message that holds a mark.
void move_image_mark(std::string_view name, std::vector<Message>& messages);

}  // namespace lithe::text

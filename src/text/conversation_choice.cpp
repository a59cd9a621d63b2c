#include <algorithm>

#include "base/lower_case.h"
#include "text/conversation.h"

namespace lithe::text {
namespace {

bool has_any(const std::string& name, std::initializer_list<const char*> parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](const char* part) { return name.find(part) != std::string::npos; });
}

std::string of_mistral(const std::string& name) {
  if (has_any(name, {"orca"})) return "mistral_orca";
  if (has_any(name, {"zephyr"})) return "mistral_zephyr";
  return has_any(name, {"hermes"}) ? "chatml_direct" : "mistral_instruct";
}

/// The language models that LLaVA and LLaVA-NeXT were published over. The order is that of the public code; what it
/// knows by a conversation's own name only (Llama 3, Qwen, Gemma) stands before its short "v1".
std::optional<std::string> of_language_model(const std::string& name) {
  if (has_any(name, {"llama-2", "llama2"})) return "llava_llama_2";
  if (has_any(name, {"mistral", "mixtral"})) return of_mistral(name);
  if (has_any(name, {"v1.6-34b", "video-34b", "yi-34b", "hermes"})) return "chatml_direct";
  if (has_any(name, {"llama3", "llama-3", "llama_3"})) return "llava_llama_3";
  if (has_any(name, {"qwen2.5", "qwen-2.5", "qwen2_5", "qwen_2_5"})) return "qwen_2_5";
  if (has_any(name, {"qwen", "llava-next-72b", "llava-next-110b"})) return "qwen_1_5";
  if (has_any(name, {"gemma"})) return "gemma_instruct";
  return std::nullopt;
}

std::optional<std::string> of_folder(const std::string& name) {
  if (const auto known = of_language_model(name)) return known;
  const bool tagged = has_any(name, {"mmtag"});
  if (has_any(name, {"v1"})) return tagged ? "v1_mmtag" : "llava_v1";
  if (has_any(name, {"mpt"})) return "mpt";
  if (has_any(name, {"v0"})) return tagged ? "v0_mmtag" : "llava_v0";
  if (has_any(name, {"vicuna", "llava-next-video-7b"})) return "vicuna_v1";
  return std::nullopt;
}

std::optional<std::string> of_type(const std::string& type) {
  constexpr std::pair<const char*, const char*> kTypes[] = {
      {"llava_mistral", "mistral_instruct"},
      {"llava_mixtral", "mistral_instruct"},
      {"llava_qwen", "qwen_1_5"},
      {"llava_gemma", "gemma_instruct"},
      {"llava_mpt", "mpt"},
      {"pmod_llava_llama", "vicuna_v1"},
  };
  for (const auto& [known, conversation] : kTypes) {
    if (type == known) return conversation;
  }
  return std::nullopt;
}

/// Unlike in a folder's name, "v1" says nothing here: "vicuna-7b-v1.5" was trained with vicuna_v1.
std::optional<std::string> of_base(const std::string& name) {
  if (has_any(name, {"vicuna"})) return "vicuna_v1";
  return has_any(name, {"llava"}) ? of_folder(name) : of_language_model(name);
}

}  // namespace

std::optional<std::string> conversation_for(const ConversationHints& hints) {
  if (auto known = of_folder(in_lower_case(hints.folder))) return known;
  if (auto known = of_type(hints.model_type)) return known;
  return of_base(in_lower_case(hints.base));
}

}  // namespace lithe::text

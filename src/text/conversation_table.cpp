// The conversations that haotian-liu/LLaVA, LLaVA-VL/LLaVA-NeXT and luogen1996/LaVIN publish, text for text.
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "text/conversation.h"

namespace lithe::text {
namespace {

constexpr const char* kCurious =
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions.";
constexpr const char* kCuriousHuman =
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions.";
// As published: no space between the second and the third sentence.
constexpr const char* kTagged =
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant is able to understand the visual content that the user provides, and assist the user with a variety "
    "of tasks using natural language."
    "The visual content will be provided with the following format: <Image>visual content</Image>.";
constexpr const char* kVisual =
    "You are a helpful language and vision assistant. "
    "You are able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language.";
constexpr const char* kRespectful =
    "You are a helpful, respectful and honest assistant. Always answer as helpfully as possible, while being safe.  "
    "Your answers should not include any harmful, unethical, racist, sexist, toxic, dangerous, or illegal content. "
    "Please ensure that your responses are socially unbiased and positive in nature.\n\n"
    "If a question does not make any sense, or is not factually coherent, explain why instead of answering something "
    "not correct. If you don't know the answer to a question, please don't share false information.";
constexpr const char* kSimple = "Answer the questions about the visual content that the user provides.";
constexpr const char* kSimpleTagged =
    "Answer the questions about the visual content that the user provides."
    "The visual content will be provided with the following format: <Image>visual content</Image>.";
// The example that "v0" puts before the first question is part of its system text here.
constexpr const char* kCuriousWithExample =
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
    "###Human: What are the key differences between renewable and non-renewable energy sources?"
    "###Assistant: Renewable energy sources are those that can be replenished naturally in a relatively "
    "short amount of time, such as solar, wind, hydro, geothermal, and biomass. "
    "Non-renewable energy sources, on the other hand, are finite and will eventually be "
    "depleted, such as coal, oil, and natural gas. Here are some key differences between "
    "renewable and non-renewable energy sources:\n"
    "1. Availability: Renewable energy sources are virtually inexhaustible, while non-renewable "
    "energy sources are finite and will eventually run out.\n"
    "2. Environmental impact: Renewable energy sources have a much lower environmental impact "
    "than non-renewable sources, which can lead to air and water pollution, greenhouse gas emissions, "
    "and other negative effects.\n"
    "3. Cost: Renewable energy sources can be more expensive to initially set up, but they typically "
    "have lower operational costs than non-renewable sources.\n"
    "4. Reliability: Renewable energy sources are often more reliable and can be used in more remote "
    "locations than non-renewable sources.\n"
    "5. Flexibility: Renewable energy sources are often more flexible and can be adapted to different "
    "situations and needs, while non-renewable sources are more rigid and inflexible.\n"
    "6. Sustainability: Renewable energy sources are more sustainable over the long term, while "
    "non-renewable sources are not, and their depletion can lead to economic and social instability.\n";
constexpr const char* kAssistant =
    "A conversation between a user and an LLM-based AI assistant. "
    "The assistant gives helpful and honest answers.";
constexpr const char* kOrca =
    "You are MistralOrca, a large language model trained by Alignment Lab AI. "
    "Write out your reasoning step-by-step to be sure you get the right answers!";
constexpr const char* kQwen25 = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";

// Heads and ends of turns.
constexpr const char *kSystem = "<|im_start|>system\n", *kUser = "<|im_start|>user\n",
                     *kAnswer = "<|im_start|>assistant\n", *kEnd = "<|im_end|>", *kEndLine = "<|im_end|>\n";
constexpr const char *kEndOfTurn = "<end_of_turn>", *kEndOfTurnLine = "<end_of_turn>\n", *kEot = "<|eot_id|>";

constexpr Conversation kConversations[] = {
    {"vicuna_v1", Layout::turns, "", kCurious, "USER", "ASSISTANT", " ", "</s>", "</s>"},
    {"vicuna_v0", Layout::turns, "", kCuriousWithExample, "Human", "Assistant", "###", "###", "###"},
    {"llava_v1", Layout::turns, "", kCuriousHuman, "USER", "ASSISTANT", " ", "</s>", "</s>"},
    {"v1_mmtag", Layout::turns, "", kTagged, "USER", "ASSISTANT", " ", "</s>", "</s>", true},
    {"llava_v0", Layout::turns, "", kCuriousHuman, "Human", "Assistant", "###", "###", "###"},
    {"v0_mmtag", Layout::turns, "", kTagged, "Human", "Assistant", "###", "###", "###", true},
    {"llava_llama_2", Layout::llama_2, "", kVisual, "USER", "ASSISTANT", "<s>", "</s>", "</s>"},
    {"llava_llama_2_simple", Layout::llama_2, "", kSimple, "USER", "ASSISTANT", "<s>", "</s>", "</s>"},
    {"llava_llama_2_mmtag", Layout::llama_2, "", kSimpleTagged, "USER", "ASSISTANT", "<s>", "</s>", "</s>", true},
    {"llama_2", Layout::llama_2, "", kRespectful, "USER", "ASSISTANT", "<s>", "</s>", "</s>"},
    {"mistral_instruct", Layout::llama_2, "", "", "USER", "ASSISTANT", "", "</s>", "</s>"},
    {"llava_llama_3", Layout::llama_3, "", kVisual, "user", "assistant", kEot, kEot, kEot},
    {"chatml_direct", Layout::chatml, kSystem, "Answer the questions.", kUser, kAnswer, kEnd, kEnd, kEnd},
    {"mistral_orca", Layout::chatml, kSystem, kOrca, kUser, kAnswer, kEnd, kEnd, kEnd},
    {"mistral_zephyr", Layout::chatml, "<|system|>\n", "You are a helpful AI assistant.", "<|user|>\n",
     "<|assistant|>\n", "</s>", "</s>", "</s>"},
    {"mpt", Layout::chatml, kSystem, kAssistant, kUser, kAnswer, kEnd, kEnd, kEnd},
    {"qwen_1_5", Layout::chatml, kSystem, "You are a helpful assistant.", kUser, kAnswer, kEndLine, kEndLine, kEnd},
    {"qwen_2_5", Layout::chatml, kSystem, kQwen25, kUser, kAnswer, kEndLine, kEndLine, kEnd},
    {"gemma_instruct", Layout::gemma, "", "", "<start_of_turn>user\n", "<start_of_turn>model\n", kEndOfTurnLine,
     kEndOfTurnLine, kEndOfTurn},
    {"plain", Layout::plain, "", "", "", "", "\n", "\n", "\n"},
    {"lavin", Layout::lavin, "", "", "Instruction: ", "Response:", "\n", "\n", ""},
};

constexpr std::pair<const char*, const char*> kAliases[] = {
    {"v1", "vicuna_v1"},
    {"v0", "vicuna_v0"},
    {"default", "vicuna_v0"},
    {"llava_v1_mmtag", "v1_mmtag"},
    {"llava_v0_mmtag", "v0_mmtag"},
    {"mistral_direct", "chatml_direct"},
    {"llava_mistral_instruct", "mistral_instruct"},
    {"qwen_2", "qwen_1_5"},
    {"v0_plain", "plain"},
};

}  // namespace

const Conversation& conversation_named(std::string_view name) {
  for (const auto& [alias, target] : kAliases) {
    if (name == alias) name = target;
  }
  for (const Conversation& conversation : kConversations) {
    if (name == conversation.name) return conversation;
  }
  std::string known;
  for (const Conversation& conversation : kConversations) known += concat(known.empty() ? "" : ", ", conversation.name);
  fail(Fault::bad_request, "there is no conversation ", in_quotes(name), "; known are ", known);
}

std::vector<std::string> conversation_names() {
  std::vector<std::string> names;
  for (const Conversation& conversation : kConversations) names.emplace_back(conversation.name);
  return names;
}

std::string conversation_stop(std::string_view name) {
  return conversation_named(name).stop;
}

}  // namespace lithe::text

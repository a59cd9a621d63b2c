#include "text/conversation.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "base/error.h"

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
constexpr const char* kMpt =
    "<|im_start|>system\nA conversation between a user and an LLM-based AI assistant. "
    "The assistant gives helpful and honest answers.";

constexpr Conversation kConversations[] = {
    {"vicuna_v1", Layout::turns, kCurious, "USER", "ASSISTANT", " ", "</s>", false},
    {"llava_v1", Layout::turns, kCuriousHuman, "USER", "ASSISTANT", " ", "</s>", false},
    {"v1_mmtag", Layout::turns, kTagged, "USER", "ASSISTANT", " ", "</s>", true},
    {"llava_v0", Layout::turns, kCuriousHuman, "Human", "Assistant", "###", "###", false},
    {"v0_mmtag", Layout::turns, kTagged, "Human", "Assistant", "###", "###", true},
    {"llava_llama_2", Layout::llama_2, kVisual, "USER", "ASSISTANT", "<s>", "</s>", false},
    {"llama_2", Layout::llama_2, kRespectful, "USER", "ASSISTANT", "<s>", "</s>", false},
    {"mistral_instruct", Layout::llama_2, "", "USER", "ASSISTANT", "", "</s>", false},
    {"chatml_direct", Layout::chatml, "<|im_start|>system\nAnswer the questions.", "<|im_start|>user\n",
     "<|im_start|>assistant\n", "<|im_end|>", "<|im_end|>", false},
    {"mpt", Layout::chatml, kMpt, "<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>", "<|im_end|>", false},
    {"plain", Layout::plain, "", "", "", "\n", "\n", false},
};

constexpr std::array<std::pair<const char*, const char*>, 3> kAliases = {{
    {"v1", "vicuna_v1"},
    {"mistral_direct", "chatml_direct"},
    {"v0_plain", "plain"},
}};

struct Turn {
  bool user;
  std::string text;
};

// The "mmtag" conversations show the picture in a turn of its own before the first question.
void announce_image(const Message& message, std::vector<Turn>& turns) {
  std::string text;
  bool has_image = false;
  for (const Part& part : message.parts) {
    has_image = has_image || part.kind == Part::Kind::image;
    text += part.text;
  }
  if (!has_image) return;
  turns = {{true, concat("<Image>", kImageMark, "</Image>")}, {false, "Received."}, {true, text}};
}

// The turns that the public code would write: from the first user turn on, alternating.
std::vector<Turn> turns_of(const Conversation& conversation, std::span<const Message> messages) {
  std::vector<Turn> turns;
  for (const Message& message : messages) {
    const bool user = message.role == "user";
    require(user || message.role == "assistant", Fault::bad_request, "conversation ", conversation.name, ": role \"",
            message.role, "\" is not system (in front), user or assistant");
    if (turns.empty() && !user) continue;
    require(turns.empty() || turns.back().user != user, Fault::bad_request, "conversation ", conversation.name,
            ": two ", message.role, " messages in a row; user and assistant must take turns");
    const bool first = turns.empty();
    turns.push_back({user, flatten(message)});
    if (first && conversation.tagged) announce_image(message, turns);
  }
  return turns;
}

std::string render_turns(const Conversation& conversation, const std::string& system, const std::vector<Turn>& turns) {
  std::string prompt = system + conversation.separator;
  for (const Turn& turn : turns) {
    prompt += concat(turn.user ? conversation.user : conversation.assistant, ":");
    if (!turn.text.empty()) prompt += concat(" ", turn.text, turn.user ? conversation.separator : conversation.end);
  }
  return prompt;
}

std::string render_chatml(const Conversation& conversation, const std::string& system, const std::vector<Turn>& turns) {
  std::string prompt = system + conversation.separator;
  for (const Turn& turn : turns) {
    prompt += turn.user ? conversation.user : conversation.assistant;
    if (!turn.text.empty()) prompt += turn.text + conversation.separator;
  }
  return prompt;
}

std::string render_llama_2(const Conversation& conversation, const std::string& system,
                           const std::vector<Turn>& turns) {
  require(!turns.empty() && !turns[0].text.empty(), Fault::bad_request, "conversation ", conversation.name,
          ": the first user message is empty; write a question");
  std::string prompt;
  for (std::size_t i = 0; i < turns.size(); ++i) {
    if (turns[i].text.empty()) continue;
    const std::string head = i == 0 && !system.empty() ? concat("<<SYS>>\n", system, "\n<</SYS>>\n\n") : "";
    prompt += turns[i].user ? concat(conversation.separator, "[INST] ", head, turns[i].text, " [/INST]")
                            : concat(" ", turns[i].text, " ", conversation.end);
  }
  // Python's lstrip takes a set of characters: with the separator "<s>" it eats every '<', 's' and '>' in front.
  const std::size_t first = prompt.find_first_not_of(conversation.separator);
  return first == std::string::npos ? "" : prompt.substr(first);
}

std::string render_plain(const Conversation& conversation, const std::string& system, const std::vector<Turn>& turns) {
  std::string prompt = system;
  for (const Turn& turn : turns) {
    if (turn.text.empty()) continue;
    require(turn.user, Fault::bad_request,
            "conversation plain: it has no form for an answer; use another conversation");
    prompt += turn.text + conversation.separator;
  }
  return prompt;
}

std::string trim(const std::string& text) {
  const char* kSpace = " \t\n\r\v\f";
  const std::size_t first = text.find_first_not_of(kSpace);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string without_marks(std::string text) {
  const std::string mark = kImageMark;
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) text.erase(at, mark.size());
  return text;
}

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
  fail(Fault::bad_request, "there is no conversation \"", name, "\"; known are ", known);
}

std::vector<std::string> conversation_names() {
  std::vector<std::string> names;
  for (const Conversation& conversation : kConversations) names.emplace_back(conversation.name);
  return names;
}

std::string conversation_for(std::string_view model_name, std::string_view model_type) {
  std::string name(model_name);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto has = [&name](const char* part) { return name.find(part) != std::string::npos; };
  if (has("llama-2")) return "llava_llama_2";
  if (has("mistral")) return "mistral_instruct";
  if (has("v1.6-34b")) return "chatml_direct";
  if (has("v1")) return "llava_v1";
  if (has("mpt")) return "mpt";
  if (has("v0")) return "llava_v0";
  if (model_type == "llava_mistral") return "mistral_instruct";
  if (model_type == "llava_mpt") return "mpt";
  return "vicuna_v1";
}

std::string conversation_stop(std::string_view name) {
  return conversation_named(name).end;
}

std::string render_conversation(std::string_view name, std::span<const Message> messages, bool open) {
  const Conversation& conversation = conversation_named(name);
  std::string system = conversation.system;
  if (!messages.empty() && messages[0].role == "system") {
    system = flatten(messages[0]);
    if (conversation.layout == Layout::chatml) system = "<|im_start|>system\n" + system;
    messages = messages.subspan(1);
  }
  std::vector<Turn> turns = turns_of(conversation, messages);
  if (open && (turns.empty() || turns.back().user)) turns.push_back({false, ""});
  switch (conversation.layout) {
    case Layout::turns:
      return render_turns(conversation, system, turns);
    case Layout::chatml:
      return render_chatml(conversation, system, turns);
    case Layout::llama_2:
      return render_llama_2(conversation, system, turns);
    case Layout::plain:
      return render_plain(conversation, system, turns);
  }
  fail(Fault::internal, "conversation ", conversation.name, " has no layout");
}

void move_image_mark(std::string_view name, std::vector<Message>& messages) {
  const Conversation& conversation = conversation_named(name);
  const std::string mark = conversation.tagged ? concat("<Image>", kImageMark, "</Image>") : kImageMark;
  for (Message& message : messages) {
    const std::string text = flatten(message);
    if (text.find(kImageMark) == std::string::npos) continue;
    message = text_message(message.role, trim(mark + "\n" + trim(without_marks(text))));
  }
}

}  // namespace lithe::text

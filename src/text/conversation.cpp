#include "text/conversation.h"

#include <algorithm>

#include "base/error.h"
#include "base/printable.h"
#include "base/trim.h"
#include "text/image_marks.h"

namespace lithe::text {
namespace {

struct Turn {
  bool user;
  std::string text;
};

/// The "mmtag" conversations show the picture in a turn of its own before the first question.
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

/// The turns that the public code would write: from the first user turn on, alternating.
std::vector<Turn> turns_of(const Conversation& conversation, std::span<const Message> messages) {
  std::vector<Turn> turns;
  for (const Message& message : messages) {
    const bool user = message.role == "user";
    require(user || message.role == "assistant", Fault::bad_request, "conversation ", conversation.name, ": role ",
            in_quotes(message.role), " is not system (in front), user or assistant");
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

/// As the chat template of Meta-Llama-3-8B-Instruct writes it, which the public code calls.
std::string render_llama_3(const Conversation& conversation, const std::string& system,
                           const std::vector<Turn>& turns) {
  const auto head = [](const char* role) { return concat("<|start_header_id|>", role, "<|end_header_id|>\n\n"); };
  std::string prompt = concat("<|begin_of_text|>", head("system"), trimmed(system), conversation.separator);
  for (const Turn& turn : turns) {
    if (!turn.text.empty())
      prompt +=
          head(turn.user ? conversation.user : conversation.assistant) + trimmed(turn.text) + conversation.separator;
    else if (!turn.user)
      prompt += head(conversation.assistant);
  }
  return prompt;
}

std::string render_gemma(const Conversation& conversation, const std::string& system, const std::vector<Turn>& turns) {
  require(system.empty(), Fault::bad_request, "conversation ", conversation.name,
          ": it has no place for a system message; write its text into the first question");
  std::string prompt;
  for (const Turn& turn : turns) {
    prompt += turn.user ? conversation.user : conversation.assistant;
    if (!turn.text.empty()) prompt += turn.text + conversation.separator;
  }
  return prompt;
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

/// LaVIN: "Image: " and the picture's tokens, or "Image: N/A", stand before everything. A question that ends with the
/// head of the answer is complete, as those of ScienceQA are; others become instructions. The answer follows its head
/// without a space.
std::string render_lavin(const Conversation& conversation, const std::string& system, const std::vector<Turn>& turns) {
  require(system.empty(), Fault::bad_request, "conversation ", conversation.name,
          ": it has no place for a system message; write its text into the first question");
  std::string prompt;
  int64_t pictures = 0;
  for (const Turn& turn : turns) {
    pictures += count_marks(turn.text);
    const std::string text = trimmed(without_marks(turn.text));
    if (!turn.user) {
      prompt += text + (text.empty() ? "" : conversation.end);
      continue;
    }
    const bool complete = text.ends_with(conversation.assistant);
    prompt += complete ? text : concat(conversation.user, text, conversation.separator, conversation.assistant);
  }
  if (!turns.empty() && !turns.back().user && !turns.back().text.empty())
    prompt.resize(prompt.size() - std::string_view(conversation.end).size());
  if (pictures == 0) return "Image: N/A " + prompt;
  std::string head = "Image: ";
  for (int64_t i = 0; i < pictures; ++i) head += kImageMark;
  return head + prompt;
}

}  // namespace

std::string render_conversation(std::string_view name, std::span<const Message> messages, bool open) {
  const Conversation& conversation = conversation_named(name);
  std::string system = conversation.system;
  if (!messages.empty() && messages[0].role == "system") {
    system = flatten(messages[0]);
    messages = messages.subspan(1);
  }
  system = conversation.system_head + system;
  std::vector<Turn> turns = turns_of(conversation, messages);
  if (open && (turns.empty() || turns.back().user)) turns.push_back({false, ""});
  switch (conversation.layout) {
    case Layout::turns:
      return render_turns(conversation, system, turns);
    case Layout::chatml:
      return render_chatml(conversation, system, turns);
    case Layout::llama_2:
      return render_llama_2(conversation, system, turns);
    case Layout::llama_3:
      return render_llama_3(conversation, system, turns);
    case Layout::gemma:
      return render_gemma(conversation, system, turns);
    case Layout::plain:
      return render_plain(conversation, system, turns);
    case Layout::lavin:
      return render_lavin(conversation, system, turns);
  }
  fail(Fault::internal, "conversation ", conversation.name, " has no layout");
}

void move_image_mark(std::string_view name, std::vector<Message>& messages) {
  const Conversation& conversation = conversation_named(name);
  const std::string mark = conversation.tagged ? concat("<Image>", kImageMark, "</Image>") : kImageMark;
  for (Message& message : messages) {
    const std::string text = flatten(message);
    if (text.find(kImageMark) == std::string::npos) continue;
    message = text_message(message.role, trimmed(mark + "\n" + trimmed(without_marks(text))));
  }
}

}  // namespace lithe::text

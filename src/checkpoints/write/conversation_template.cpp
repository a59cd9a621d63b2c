#include "checkpoints/write/conversation_template.h"

#include "base/error.h"
#include "base/json.h"
#include "text/conversation.h"

namespace lithe::models {
namespace {

using text::Conversation;

/// A text as a literal of Jinja; JSON's escapes are among Jinja's.
std::string quoted(const std::string& text) {
  return Json(text).dump();
}

/// text::flatten: marks of pictures in front, then the texts.
constexpr const char* kFlat =
    R"({%- macro flat(content) -%}
{%- if content is string -%}{{ content }}{%- else -%}
{%- for part in content | selectattr('type', 'equalto', 'image') -%}
{{ '<image>' }}{{ '\n' if loop.last else ' ' }}
{%- endfor -%}
{%- for part in content | selectattr('type', 'equalto', 'text') -%}{{ part['text'] }}{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
)";

/// Cuts a system message off; without one the conversation's own stands.
std::string cut_system(const Conversation& c) {
  return concat(R"({%- set state = namespace(system=)", quoted(concat(c.system_head, c.system)),
                R"(, turns=messages, first=true) -%}
{%- if messages and messages[0]['role'] == 'system' -%}
{%- set state.system = )",
                quoted(c.system_head), R"( ~ flat(messages[0]['content']) -%}{%- set state.turns = messages[1:] -%}
{%- endif -%}
)");
}

/// What precedes the first question of the user is passed over, as in the published code.
constexpr const char* kEachTurn =
    R"({%- for turn in state.turns -%}
{%- if turn['role'] == 'user' or not state.first -%}
{%- set text = flat(turn['content']) -%}{%- set user = turn['role'] == 'user' -%}
)";
constexpr const char* kNext = R"(
{%- set state.first = false -%}
{%- endif -%}
{%- endfor -%})";

std::string open_answer(const std::string& head) {
  return concat(R"(
{%- if add_generation_prompt and not (state.turns and state.turns[-1]['role'] == 'assistant') -%}{{ )",
                quoted(head), " }}{%- endif -%}\n");
}

/// {{ A if user else B }}
std::string by_role(const std::string& user, const std::string& assistant) {
  return concat("(", quoted(user), " if user else ", quoted(assistant), ")");
}

std::string turns_template(const Conversation& c) {
  return concat(kFlat, cut_system(c), "{{ state.system ~ ", quoted(c.separator), " }}\n", kEachTurn, "{{ ",
                by_role(concat(c.user, ":"), concat(c.assistant, ":")), " }}{%- if text -%}{{ ' ' ~ text ~ ",
                by_role(c.separator, c.end), " }}{%- endif -%}", kNext, open_answer(concat(c.assistant, ":")));
}

std::string chatml_template(const Conversation& c) {
  return concat(kFlat, cut_system(c), "{{ state.system ~ ", quoted(c.separator), " }}\n", kEachTurn, "{{ ",
                by_role(c.user, c.assistant), " }}{%- if text -%}{{ text ~ ", quoted(c.separator), " }}{%- endif -%}",
                kNext, open_answer(c.assistant));
}

std::string llama_2_template(const Conversation& c) {
  return concat(kFlat, cut_system(c), kEachTurn, R"({%- if text and user -%}
{{ ('' if state.first else )",
                quoted(c.separator), R"() ~ '[INST] ' }}
{%- if state.first and state.system -%}{{ '<<SYS>>\n' ~ state.system ~ '\n<</SYS>>\n\n' }}{%- endif -%}
{{ text ~ ' [/INST]' }}
{%- elif text -%}{{ ' ' ~ text ~ )",
                quoted(concat(" ", c.end)), " }}{%- endif -%}", kNext, "\n");
}

std::string llama_3_template(const Conversation& c) {
  const auto head = [](const char* role) { return concat("<|start_header_id|>", role, "<|end_header_id|>\n\n"); };
  return concat(kFlat, cut_system(c), "{{ ", quoted("<|begin_of_text|>" + head("system")), " ~ state.system | trim ~ ",
                quoted(c.separator), " }}\n", kEachTurn, "{%- if text -%}{{ ", by_role(head(c.user), head(c.assistant)),
                " ~ text | trim ~ ", quoted(c.separator), " }}{%- endif -%}", kNext, open_answer(head(c.assistant)));
}

std::string gemma_template(const Conversation& c) {
  return concat(kFlat, cut_system(c), "{%- if state.system -%}{{ raise_exception('",
                "this conversation has no place for a system message') }}{%- endif -%}\n", kEachTurn, "{{ ",
                by_role(c.user, c.assistant), " }}{%- if text -%}{{ text ~ ", quoted(c.separator), " }}{%- endif -%}",
                kNext, open_answer(c.assistant));
}

std::string plain_template(const Conversation& c) {
  return concat(kFlat, cut_system(c), "{{ state.system }}\n", kEachTurn, "{%- if text -%}{{ text ~ ",
                quoted(c.separator), " }}{%- endif -%}", kNext, "\n");
}

}  // namespace

std::optional<std::string> template_of_conversation(const std::string& name) {
  const Conversation& conversation = text::conversation_named(name);
  // LaVIN's prompts begin with the pictures of all messages.
  if (conversation.tagged || conversation.layout == text::Layout::lavin) return std::nullopt;
  switch (conversation.layout) {
    case text::Layout::turns:
      return turns_template(conversation);
    case text::Layout::chatml:
      return chatml_template(conversation);
    case text::Layout::llama_2:
      return llama_2_template(conversation);
    case text::Layout::llama_3:
      return llama_3_template(conversation);
    case text::Layout::gemma:
      return gemma_template(conversation);
    case text::Layout::plain:
      return plain_template(conversation);
    case text::Layout::lavin:
      break;
  }
  return std::nullopt;
}

}  // namespace lithe::models

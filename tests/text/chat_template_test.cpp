#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <chrono>

#include "text/support.h"

namespace lithe::text {
namespace {

std::vector<Message> messages_of(const Json& list) {
  std::vector<Message> messages;
  for (const Json& item : list) {
    Message message{item.at("role").get<std::string>(), {}};
    for (const Json& part : item.at("content")) {
      const bool image = part.at("type") == "image";
      message.parts.push_back(
          {image ? Part::Kind::image : Part::Kind::text, image ? "" : part.at("text").get<std::string>()});
    }
    messages.push_back(message);
  }
  return messages;
}

std::string render(const std::string& source, std::vector<Message> messages = {text_message("user", "Hi")},
                   const TemplateOptions& options = {.bos_token = "<s>", .eos_token = "</s>"}) {
  return ChatTemplate::from_source(source, "test").render(messages, options);
}

TEST(ChatTemplate, GoldenPrompts) {
  const auto chat = ChatTemplate::open(golden("hf_llava15/checkpoint"));
  ASSERT_TRUE(chat);
  for (const Json& entry : conversations().at("hf_chat_template").at("conversations")) {
    std::vector<Message> messages = messages_of(entry.at("messages"));
    EXPECT_EQ(chat->render(messages, {.add_generation_prompt = false}), entry.at("prompt_full").get<std::string>());
    messages.pop_back();
    EXPECT_EQ(chat->render(messages, {}), entry.at("prompt_open").get<std::string>());
  }
}

TEST(ChatTemplate, GoldenCases) {
  for (const char* name : {"hf_llava15", "hf_llavanext"}) {
    const auto chat = ChatTemplate::open(golden(name) / "checkpoint");
    ASSERT_TRUE(chat);
    const Json json = read_json_file(golden(name) / "case.json");
    for (const Json& sample : json.at("samples")) {
      EXPECT_EQ(chat->render(messages_of(sample.at("messages")), {}), sample.at("prompt").get<std::string>());
    }
  }
}

TEST(ChatTemplate, PlacesInAFolder) {
  const TemporaryFolder folder;
  EXPECT_FALSE(ChatTemplate::open(folder.path()));
  folder.write("tokenizer_config.json", R"({"chat_template": [{"name": "tool", "template": "tool"},
                                            {"name": "default", "template": "config"}]})");
  EXPECT_EQ(ChatTemplate::open(folder.path())->source(), "config");
  folder.write("chat_template.json", R"({"chat_template": "json"})");
  EXPECT_EQ(ChatTemplate::open(folder.path())->source(), "json");
  folder.write("chat_template.jinja", "jinja");
  EXPECT_EQ(ChatTemplate::open(folder.path())->source(), "jinja");
}

// The expected texts are what Jinja2 with transformers' settings writes.
TEST(ChatTemplate, JinjaAsTransformersSetsIt) {
  const std::pair<const char*, const char*> kCases[] = {
      {"{% if true %}\n  {% set x = 1 %}\nA\n{% endif %}\nB", "A\nB"},
      {"{{ bos_token }}{{ messages[0]['content'] }}{{ eos_token }}", "<s>Hi</s>"},
      {"{{ messages[0].role.upper() + ': ' + messages[0]['content'].strip() }}", "USER: Hi"},
      {"{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}"
       "{% endfor %}",
       "02"},
      {"{{ {'b': 1, 'a': [1, 'x<y', none, true]} | tojson }}", R"({"b": 1, "a": [1, "x<y", null, true]})"},
      {"{{ {'a': 1} | tojson(indent=2) }}", "{\n  \"a\": 1\n}"},
      {"{% if tools is not none %}tools{% endif %}{% if missing %}x{% endif %}{{ missing }}.", "."},
      {"{% set ns = namespace(n=0) %}{% for m in [1, 2, 3] %}{% set ns.n = ns.n + m if m > 1 else ns.n %}{% endfor %}"
       "{{ ns.n }}",
       "5"},
      {"{% macro f(x, y='!') %}<{{ x }}{{ y }}>{% endmacro %}{{ f('a') ~ f('b', y='?') }}", "<a!><b?>"},
      {"{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}{{ v }}{% endfor %}", "a1b2"},
      {"{{ 'a,b'.split(',')[1] }}{{ 'x' * 3 }}{{ [1] + [2] }}{{ 'abc'[::-1] }}{{ 'abc'[:2] }}", "bxxx[1, 2]cbaab"},
      {"{% generation %}\nA{% endgeneration %}{%- generation -%}  B  {%- endgeneration -%}", "AB"},
      {"{{ messages | map(attribute='role') | join('-') }}{{ 'a b'.replace(' ', '_') }}", "usera_b"},
      {"{{ strftime_now('%%') }}{{ loop is defined }}{{ none }}{{ 7 % 3 }}{{ 1.5 }}{{ 2 ** 3 }}", "%FalseNone11.58"},
      {"{% set x %}A{{ 1 }}{% endset %}{{ x }}{{ 'a' in 'abc' and 'd' not in 'abc' }}", "A1True"},
      {"{% if messages[0]['content'] is string and messages is iterable %}S{% endif %}{{ messages|length }}", "S1"},
      {"{{ '%s-%d' % ('a', 3) }}{{ '%s' | format('b') }}{{ ('a', 'b') | join }}", "a-3bab"},
      {"A\n", "A"},
  };
  for (const auto& [source, expected] : kCases) {
    EXPECT_EQ(refusal([&] { EXPECT_EQ(render(source), expected) << source; }).second, "") << source;
  }
}

TEST(ChatTemplate, TextTemplatesGetTexts) {
  const Message message{"user", {{Part::Kind::image, ""}, {Part::Kind::text, "What?"}}};
  EXPECT_EQ(render("{{ messages[0]['content'] }}", {message}), "<image>\nWhat?");
  EXPECT_EQ(render("{% for c in messages[0]['content'] %}[{{ c['type'] }}]{% endfor %}", {message}), "[image][text]");
}

TEST(ChatTemplate, ARefusalIsTheCallersFault) {
  const auto [fault, sentence] = refusal([] { render("{{ raise_exception('roles must alternate') }}"); });
  EXPECT_EQ(fault, Fault::bad_request);
  EXPECT_NE(sentence.find("roles must alternate"), std::string::npos);
}

TEST(ChatTemplate, BrokenTemplatesSayWhere) {
  const auto [fault, sentence] = refusal([] { ChatTemplate::from_source("a\n{% if %}", "f.jinja"); });
  EXPECT_EQ(fault, Fault::bad_file);
  EXPECT_NE(sentence.find("f.jinja"), std::string::npos);
  EXPECT_NE(sentence.find("line 2"), std::string::npos) << sentence;
  EXPECT_EQ(refusal([] { render("{{ nothing.at.all }}"); }).first, Fault::bad_file);
  EXPECT_EQ(refusal([] { render("{% include 'x' %}"); }).first, Fault::bad_file);
  EXPECT_EQ(refusal([] { render("\xFF\xFE"); }).first, Fault::bad_file);
}

std::string repeat(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

TEST(ChatTemplate, HostileTemplatesEnd) {
  const std::string grow = "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(90) %}{% set ns.x = ";
  const std::string nest = "{% set ns = namespace(x=[]) %}{% for i in range(90000) %}{% set ns.x = ";
  const std::string end = " %}{% endfor %}{{ ns.x | length }}";
  const std::string kCases[] = {
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{% for a in range(99999) %}" + std::string(9000, 'x') + "{% endfor %}",
      "{% for a in range(99999999999) %}x{% endfor %}",
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{{ 'x' * 99999999999 }}",
      "{{ ('x' * 10000000) * 10000000 }}",
      "{{ ([0] * 100000000) | list | length }}",
      "{{ 'x' | indent(9999999999) }}{{ 'a' | center(99999999999) }}",
      "{{ '%999999999999d' % 1 }}",
      "{{ '%999999999999d' | format(1) }}",
      "{{ '{:>99999999999}'.format('x') }}",
      "{{ [1] | batch(9999999999, 'x') | list }}",
      "{{ [1] | slice(9999999999) | list }}",
      "{{ {'a': 1} | tojson(indent=99999999999) | length }}" + std::string("{{ 'a' * 100000000 }}"),
      grow + "ns.x ~ ns.x" + end,
      grow + "ns.x + ns.x" + end,
      grow + "ns.x * 9" + end,
      grow + "ns.x.replace('a', ns.x)" + end,
      grow + "ns.x | replace('a', ns.x)" + end,
      grow + "ns.x.join(ns.x.split('a'))" + end,
      grow + "[ns.x, ns.x]" + end,
      grow + "{'a': ns.x, 'b': ns.x}" + end,
      grow + "(ns.x, ns.x)" + end,
      grow + "dict(a=ns.x, b=ns.x)" + end,
      grow + "namespace(a=ns.x, b=ns.x)" + end,
      grow + "[ns.x] | map('replace', 'a', ns.x) | list | first" + end,
      "{% set ns = namespace(x='aaaa') %}{% for i in range(90) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}"
      "{% set ns.x = y %}{% endfor %}",
      nest + "[ns.x]" + end,
      nest + "{'a': ns.x}" + end,
      nest + "dict(a=ns.x)" + end,
      "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
      "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns == ns.x }}",
      "{% set x = dict(a=1) %}" + repeat("{% set x = dict(a=x, b=x) %}", 60) + "{{ x == x }}",
      repeat("(", 100000) + "x",
      "{{ " + repeat("(", 100000) + "1" + repeat(")", 100000) + " }}",
      "{{ " + repeat("[", 100000) + " }}",
      "{{ " + repeat("-", 100000) + "1 }}",
      "{{ " + repeat("not ", 100000) + "1 }}",
      "{{ x" + repeat(".a", 100000) + " }}",
      "{{ 1" + repeat(" + 1", 50000) + " }}",
      repeat("{% if 1 %}", 90000),
      "{% if 0 %}" + repeat("{% elif 0 %}", 3900) + "{% endif %}",
      "{{ 1" + repeat(" + x", 1900) + " }}",
      "{{ x" + repeat("|upper", 1900) + " }}",
      "{{ " + repeat("x if 1 else ", 990) + " 1}}",
      "{% if 0 %}" + repeat("{% elif 0 %}", 80000) + "{% endif %}",
      repeat("{{ 1 }}", 100000),
      repeat("{% for a in [1] %}", 5000) + repeat("{% endfor %}", 5000),
  };
  for (const std::string& source : kCases) {
    const auto start = std::chrono::steady_clock::now();
    try {
      EXPECT_LE(render(source).size(), std::size_t{1} << 28);
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::bad_file) << error.what();
      EXPECT_LT(std::string(error.what()).size(), 2000u);
    }
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    EXPECT_LT(elapsed.count(), 15.0) << source.substr(0, 120);
  }
}

}  // namespace
}  // namespace lithe::text

#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <fstream>

#include "text/support.h"

namespace lithe::text {
namespace {

std::vector<Message> messages_in_parts(const Json& list) {
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

/// The fault of a template in a process that may map `room` bytes more than it has; -1 if it renders.
int fault_with(rlim_t room) {
  const pid_t child = fork();
  if (child == 0) {
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit limit{pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + room, RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &limit);
    try {
      ChatTemplate::from_source("{{ messages }}", "test");
    } catch (const Error& error) {
      _exit(static_cast<int>(error.fault()));
    }
    _exit(255);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? static_cast<signed char>(WEXITSTATUS(status)) : -2;
}

std::string render(const std::string& source, std::vector<Message> messages = {text_message("user", "Hi")},
                   const TemplateOptions& options = {.bos_token = "<s>", .eos_token = "</s>"}) {
  return ChatTemplate::from_source(source, "test").render(messages, options);
}

// A template is rendered by a thread with a large stack.
TEST(ChatTemplate, IsNotToBlameIfThereIsNoThread) {
  EXPECT_EQ(fault_with(rlim_t{16} << 20), static_cast<int>(Fault::no_memory));
  EXPECT_EQ(fault_with(rlim_t{1} << 30), -1);
}

TEST(ChatTemplate, GoldenPrompts) {
  const auto chat = ChatTemplate::open(golden("hf_llava15/checkpoint"));
  ASSERT_TRUE(chat);
  for (const Json& entry : conversations().at("hf_chat_template").at("conversations")) {
    std::vector<Message> messages = messages_in_parts(entry.at("messages"));
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
      EXPECT_EQ(chat->render(messages_in_parts(sample.at("messages")), {}), sample.at("prompt").get<std::string>());
    }
  }
}

// The order of transformers 5 for a processor.
TEST(ChatTemplate, PlacesInAFolder) {
  const TemporaryFolder folder;
  EXPECT_FALSE(ChatTemplate::open(folder.path()));
  folder.write("tokenizer_config.json", R"({"chat_template": [{"name": "tool", "template": "tool"},
                                            {"name": "default", "template": "config"}]})");
  EXPECT_EQ(ChatTemplate::open(folder.path())->source(), "config");
  std::filesystem::create_directory(folder.path() / "additional_chat_templates");
  folder.write("additional_chat_templates/rag.jinja", "rag");
  EXPECT_EQ(ChatTemplate::open(folder.path())->source(), "config");
  folder.write("additional_chat_templates/default.jinja", "additional");
  EXPECT_EQ(ChatTemplate::open(folder.path())->source(), "additional");
  folder.write("chat_template.jinja", "jinja");
  EXPECT_EQ(ChatTemplate::open(folder.path())->source(), "jinja");
  folder.write("chat_template.json", R"({"chat_template": "json"})");
  EXPECT_EQ(ChatTemplate::open(folder.path())->source(), "json");
  folder.write("processor_config.json", R"({"chat_template": null})");
  EXPECT_EQ(ChatTemplate::open(folder.path())->source(), "json");
  folder.write("processor_config.json", R"({"chat_template": {"tool_use": "tool", "default": "processor"}})");
  EXPECT_EQ(ChatTemplate::open(folder.path())->source(), "processor");
}

TEST(ChatTemplate, OfSeveralOneMustBeTheDefault) {
  const TemporaryFolder folder;
  for (const char* templates : {R"([{"name": "rag", "template": "x"}])", R"({"rag": "x"})", "[]", "{}", "5", "[5]",
                                R"([{"template": "x"}])", R"([{"name": "default", "template": 5}])"}) {
    folder.write("tokenizer_config.json", concat(R"({"chat_template": )", templates, "}"));
    const auto [fault, sentence] = refusal([&] { ChatTemplate::open(folder.path()); });
    EXPECT_EQ(fault, Fault::bad_file) << templates;
    EXPECT_NE(sentence.find("tokenizer_config.json"), std::string::npos) << sentence;
  }
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

// What Jinja2 makes of the form that each template was written for; the text of a template says nothing about that.
TEST(ChatTemplate, ContentsComeInTheFormThatTheTemplateReads) {
  const std::vector<Message> all{text_message("system", "Be brief."),
                                 {"user", {{Part::Kind::image, ""}, {Part::Kind::text, "What?"}}},
                                 text_message("assistant", "A dog."),
                                 text_message("user", "Sure?")};
  const std::string each = "{% for m in messages %}{{ m['role'][0] }}:";
  const std::string parts =
      "{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}"
      "{% endif %}{% endfor %}";
  const std::string end = ";{% endfor %}";
  const std::string in_parts = "s:Be brief.;u:<image>What?;a:A dog.;u:Sure?;";
  const std::string in_texts = "s:Be brief.;u:<image>\nWhat?;a:A dog.;u:Sure?;";
  const std::pair<std::string, std::string> kCases[] = {
      {each + "{{ m['content'] }}" + end, in_texts},
      {each + "{% if 'type' in m %}x{% endif %}{{ m['content'] | trim }}" + end, in_texts},
      {each + "{{ m.content + '' }}" + end, in_texts},
      {each + parts + end, in_parts},
      {each + "{% for c in m.content %}{% if c.text is defined %}{{ c.text }}{% else %}<image>{% endif %}{% endfor %}" +
           end,
       in_parts},
      {each + "{% if m.content is string %}{{ m.content }}{% else %}" + parts + "{% endif %}" + end, in_parts},
      // A picture in a list is lost, so the texts bring it.
      {each +
           "{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}{{ c.text }}{% endfor %}"
           "{% endif %}" +
           end,
       in_texts},
      {each + "{{ m['content'][0]['text'] }}" + end, in_texts},
      // System and assistant as texts, the user in parts.
      {each + "{% if m.role == 'user' %}" + parts + "{% else %}{{ m.content.strip() }}{% endif %}" + end, in_parts},
      // The template writes the mark of the first question itself.
      {each +
           "{% if loop.index0 == (1 if messages[0].role == 'system' else 0) %}<image>{% endif %}{{ m.content.strip() "
           "}}" +
           end,
       in_parts},
      // A system message is required.
      {"{% if messages[0].role != 'system' %}{{ raise_exception('no system message') }}{% endif %}" + each +
           "{{ m.content.strip() }}" + end,
       in_texts},
      {each + "{% for c in m.content %}{{ c.text | upper if c.text is defined else '<image>' }}{% endfor %}" + end,
       "s:BE BRIEF.;u:<image>WHAT?;a:A DOG.;u:SURE?;"},
      {each + "{{ m['content'].upper() }}" + end, "s:BE BRIEF.;u:<IMAGE>\nWHAT?;a:A DOG.;u:SURE?;"},
  };
  for (const auto& [source, expected] : kCases) EXPECT_EQ(render(source, all), expected) << source;
}

TEST(ChatTemplate, SeesTheTokensOfTheTokenizer) {
  const std::string source =
      "{{ bos_token }}{{ eos_token }}{{ unk_token }}{{ pad_token }}{{ image_token }}"
      "{% if sep_token is defined %}x{% endif %}";
  EXPECT_EQ(render(source, {text_message("user", "Hi")},
                   {.bos_token = "<s>", .eos_token = "</s>", .unk_token = "<unk>", .pad_token = "<pad>"}),
            "<s></s><unk><pad><image>");
}

// Not the template's fault: it can do with usual messages.
TEST(ChatTemplate, ATooLongMessageIsTheCallersFault) {
  const auto [fault, sentence] =
      refusal([] { render("{{ messages[0]['content'] * 3 }}", {text_message("user", std::string(3'000'000, 'a'))}); });
  EXPECT_EQ(fault, Fault::bad_request);
  EXPECT_NE(sentence.find("shorten"), std::string::npos) << sentence;
  EXPECT_EQ(refusal([] { render("{{ messages[0]['content'] * 99999999 }}"); }).first, Fault::bad_file);
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
      repeat("{%", 500000) + "%}",
      repeat("{% generation ", 70000) + "%}",
      "{%" + repeat(" ", 1000000) + "generation",
  };
  for (const std::string& source : kCases) {
    const std::clock_t start = std::clock();  // of this process: others on the machine do not count
    try {
      EXPECT_LE(render(source).size(), std::size_t{1} << 28);
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::bad_file) << error.what();
      EXPECT_LT(std::string(error.what()).size(), 2000u);
    }
    const double elapsed_s = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    EXPECT_LT(elapsed_s, 15.0) << source.substr(0, 120);
  }
}

TEST(ChatTemplate, SaysWhenItLeavesOutTheQuestion) {
  EXPECT_TRUE(ChatTemplate::from_source("", "test").drops_text());
  EXPECT_TRUE(ChatTemplate::from_source("no message at all", "test").drops_text());
  EXPECT_FALSE(ChatTemplate::from_source("{{ messages[0].content }}", "test").drops_text());
  EXPECT_FALSE(ChatTemplate::from_source("{{ raise_exception('not now') }}", "test").drops_text());
}

TEST(ChatTemplate, OneThatChangesTheTextGetsItAsAText) {
  const ChatTemplate chat =
      ChatTemplate::from_source("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "test.jinja");
  EXPECT_EQ(chat.render(std::vector{user_message("hello", 0)}, {}), "HELLO");
}

}  // namespace
}  // namespace lithe::text

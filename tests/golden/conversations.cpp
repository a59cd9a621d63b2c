#include "text/conversation.h"

#include "base/error.h"
#include "golden/cases.h"
#include "text/chat_template.h"
#include "text/labels.h"
#include "text/tokenizer.h"

namespace lithe::golden {
namespace {

std::vector<text::Message> turns_of(const Json& list) {
  std::vector<text::Message> messages;
  for (const Json& item : list) {
    messages.push_back(text::text_message(item.at("from") == "human" ? "user" : "assistant", item.at("value")));
  }
  return messages;
}

std::vector<text::Message> parts_of(const Json& list) {
  std::vector<text::Message> messages;
  for (const Json& item : list) {
    text::Message message{.role = item.at("role"), .parts = {}};
    for (const Json& part : item.at("content")) {
      const bool image = part.at("type") == "image";
      message.parts.push_back({.kind = image ? text::Part::Kind::image : text::Part::Kind::text,
                               .text = image ? std::string() : part.at("text").get<std::string>()});
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

// A prompt that the published code cannot write must be refused here too.
void check_prompt(const std::string& label, const std::string& name, const std::vector<text::Message>& messages,
                  bool open, const Json& expected, Check& check) {
  try {
    const std::string prompt = text::render_conversation(name, messages, open);
    if (expected.is_null()) return check.fault(label + " was written, the reference refuses it");
    check.texts(label, expected, prompt);
  } catch (const Error& error) {
    if (!expected.is_null()) check.fault(label + " was refused: " + error.what());
  }
}

void check_templates(const Json& entry, Check& check) {
  for (const auto& [name, expected] : entry.at("templates").items()) {
    const std::string label = entry.at("name").get<std::string>() + " " + name;
    std::vector<text::Message> messages = turns_of(entry.at("messages"));
    check_prompt(label + " full", name, messages, false, expected.at("prompt_full"), check);
    std::vector<text::Message> moved = messages;
    text::move_image_mark(name, moved);
    std::string texts, expected_texts;
    for (const text::Message& message : moved) texts += text::flatten(message) + '\n';
    for (const Json& text : expected.at("after_preprocess_multimodal"))
      expected_texts += text.get<std::string>() + '\n';
    check.texts(label + " with its image mark moved", expected_texts, texts);
    messages.pop_back();
    check_prompt(label + " open", name, messages, true, expected.at("prompt_open"), check);
  }
}

void check_chat_template(const Json& json, const std::filesystem::path& folder, Check& check) {
  const auto chat = text::ChatTemplate::from_source(json.at("template"), "conversations.json");
  const auto tokenizer = text::Tokenizer::open(folder / json.at("tokenizer").get<std::string>());
  const std::optional<int64_t> image = tokenizer.id_of(text::kImageMark);
  for (const Json& entry : json.at("conversations")) {
    const std::string label = "chat template " + entry.at("name").get<std::string>();
    std::vector<text::Message> messages = parts_of(entry.at("messages"));
    const std::string full = chat.render(messages, {.add_generation_prompt = false});
    check.texts(label + " full", entry.at("prompt_full"), full);
    std::vector<int64_t> ids = tokenizer.encode_with_images(full, text::Dialect::hf);
    // The reference gives the template's text to the tokenizer without special tokens.
    if (!ids.empty() && tokenizer.bos() == ids.front()) ids.erase(ids.begin());
    for (int64_t& id : ids) id = id == text::kImageId ? image.value_or(id) : id;
    check.integers(label + " ids", entry.at("input_ids_unexpanded"), ids);
    messages.pop_back();
    check.texts(label + " open", entry.at("prompt_open"), chat.render(messages, {.add_generation_prompt = true}));
  }
}

/// Ids and label masks, as the published training code makes them with its usual tokenizer.
void check_labels(const Json& entry, const text::Tokenizer& tokenizer, Check& check) {
  for (const auto& [name, expected] : entry.at("templates").items()) {
    if (!expected.contains("train") || expected.at("train").contains("error")) continue;
    const Json& train = expected.at("train");
    const std::string label = entry.at("name").get<std::string>() + " " + name;
    std::vector<text::Message> messages = turns_of(entry.at("messages"));
    const bool image = entry.at("image");
    if (image) text::move_image_mark(name, messages);
    const text::LabelledIds labelled = text::label_conversation(name, messages, tokenizer, image);
    check.integers(label + " trained ids", train.at("input_ids"), labelled.ids);
    check.integers(label + " labels", train.at("labels"), labelled.labels);
  }
}

}  // namespace

Check run_conversations(const Json& json, const std::filesystem::path& folder) {
  Check check;
  const auto tokenizer = text::Tokenizer::open(folder / json.at("tokenizer").get<std::string>());
  for (const Json& entry : json.at("conversations")) {
    check_templates(entry, check);
    check_labels(entry, tokenizer, check);
  }
  for (const Json& entry : json.at("tuple_messages")) {
    text::Message message{.role = "user", .parts = {{.kind = text::Part::Kind::image, .text = {}}}};
    std::string question = entry.at("first_user_text");
    question.resize(question.find(" <image>"));
    message.parts.push_back({.kind = text::Part::Kind::text, .text = question});
    check_prompt("picture beside the text", entry.at("template"), {message}, true, entry.at("prompt"), check);
  }
  for (const Json& entry : json.at("tokenization")) {
    const std::string text = entry.at("text");
    check.integers("ids of '" + text + "'", entry.at("ids_tokenizer_image_token"),
                   tokenizer.encode_with_images(text, text::Dialect::original));
  }
  if (json.contains("hf_chat_template")) check_chat_template(json.at("hf_chat_template"), folder, check);
  return check;
}

}  // namespace lithe::golden

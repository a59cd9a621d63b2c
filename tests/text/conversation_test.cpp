#include "text/conversation.h"

#include <gtest/gtest.h>

#include "text/support.h"

namespace lithe::text {
namespace {

std::vector<Message> messages_of(const Json& list) {
  std::vector<Message> messages;
  for (const Json& item : list) {
    messages.push_back(
        text_message(item.at("from") == "human" ? "user" : "assistant", item.at("value").get<std::string>()));
  }
  return messages;
}

TEST(Conversation, GoldenPrompts) {
  int compared = 0;
  int refused = 0;
  for (const Json& entry : conversations().at("conversations")) {
    for (const auto& [name, expected] : entry.at("templates").items()) {
      SCOPED_TRACE(concat(entry.at("name").get<std::string>(), " ", name));
      std::vector<Message> messages = messages_of(entry.at("messages"));
      for (const bool open : {false, true}) {
        if (open) messages.pop_back();
        const Json& prompt = expected.at(open ? "prompt_open" : "prompt_full");
        if (prompt.is_null()) {
          EXPECT_EQ(refusal([&] { render_conversation(name, messages, open); }).first, Fault::bad_request);
          ++refused;
        } else {
          EXPECT_EQ(render_conversation(name, messages, open), prompt.get<std::string>());
          ++compared;
        }
      }
    }
  }
  EXPECT_EQ(compared, 11 * 4 * 2 - refused);
  EXPECT_EQ(refused, 12);
}

TEST(Conversation, GoldenTrainingTexts) {
  for (const Json& entry : conversations().at("conversations")) {
    for (const auto& [name, expected] : entry.at("templates").items()) {
      SCOPED_TRACE(concat(entry.at("name").get<std::string>(), " ", name));
      std::vector<Message> messages = messages_of(entry.at("messages"));
      move_image_mark(name, messages);
      std::vector<std::string> texts;
      for (const Message& message : messages) texts.push_back(flatten(message));
      EXPECT_EQ(texts, expected.at("after_preprocess_multimodal").get<std::vector<std::string>>());
    }
  }
}

// A picture handed over beside the text, as the public demo does.
TEST(Conversation, GoldenImageParts) {
  for (const Json& entry : conversations().at("tuple_messages")) {
    const Message question{"user", {{Part::Kind::image, ""}, {Part::Kind::text, "What is this?"}}};
    EXPECT_EQ(render_conversation(entry.at("template").get<std::string>(), {&question, 1}, true),
              entry.at("prompt").get<std::string>());
  }
}

TEST(Conversation, OtherLayouts) {
  const std::vector<Message> messages{text_message("user", "Hi"), text_message("assistant", "Hello"),
                                      text_message("user", "Bye")};
  EXPECT_EQ(render_conversation("chatml_direct", messages, true),
            "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\nHi<|im_end|><|im_start|>assistant\n"
            "Hello<|im_end|><|im_start|>user\nBye<|im_end|><|im_start|>assistant\n");
  EXPECT_EQ(render_conversation("mistral_instruct", messages, true), "[INST] Hi [/INST] Hello </s>[INST] Bye [/INST]");
  const std::string v0 = render_conversation("llava_v0", messages, true);
  EXPECT_TRUE(v0.ends_with("questions.###Human: Hi###Assistant: Hello###Human: Bye###Assistant:")) << v0;
  EXPECT_EQ(render_conversation("v1", messages, true), render_conversation("vicuna_v1", messages, true));
  EXPECT_EQ(conversation_stop("vicuna_v1"), "</s>");
  EXPECT_EQ(conversation_stop("mpt"), "<|im_end|>");
}

TEST(Conversation, SystemMessageReplacesTheSystemText) {
  const std::vector<Message> messages{text_message("system", "Be brief."), text_message("user", "Hi")};
  EXPECT_EQ(render_conversation("vicuna_v1", messages, true), "Be brief. USER: Hi ASSISTANT:");
  EXPECT_TRUE(render_conversation("mpt", messages, true).starts_with("<|im_start|>system\nBe brief.<|im_end|>"));
}

TEST(Conversation, PicksByModel) {
  const std::pair<const char*, const char*> kNames[] = {{"llava-v1.5-7b", "llava_v1"},
                                                        {"LLaVA-Llama-2-13b", "llava_llama_2"},
                                                        {"llava-v1.6-mistral-7b", "mistral_instruct"},
                                                        {"llava-v1.6-34b", "chatml_direct"},
                                                        {"LLaVA-7B-mpt", "mpt"},
                                                        {"easyvqa-pmod", "vicuna_v1"}};
  for (const auto& [name, expected] : kNames) EXPECT_EQ(conversation_for(name, "llava_llama"), expected) << name;
  EXPECT_EQ(conversation_for("checkpoint", "llava_mpt"), "mpt");
  for (const std::string& name : conversation_names()) EXPECT_EQ(conversation_named(name).name, name);
}

TEST(Conversation, RefusesWhatItCannotWrite) {
  const auto fault = [](const char* name, std::vector<Message> messages) {
    return refusal([&] { render_conversation(name, messages, true); });
  };
  EXPECT_NE(fault("no_such", {}).second.find("vicuna_v1"), std::string::npos);
  EXPECT_EQ(fault("vicuna_v1", {text_message("tool", "x")}).first, Fault::bad_request);
  EXPECT_EQ(fault("vicuna_v1", {text_message("user", "x"), text_message("user", "y")}).first, Fault::bad_request);
  EXPECT_EQ(fault("llava_llama_2", {text_message("user", "")}).first, Fault::bad_request);
}

}  // namespace
}  // namespace lithe::text

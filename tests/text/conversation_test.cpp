#include "text/conversation.h"

#include <gtest/gtest.h>

#include "text/support.h"

namespace lithe::text {
namespace {

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

// Every name of LLaVA-NeXT's conversation.py, and what its code writes.
TEST(Conversation, ThoseOfLlavaNext) {
  const Json json = read_json_file(std::filesystem::path(LITHE_TEST_DATA) / "text/llava_next_prompts.json");
  for (const auto& [name, prompts] : json.at("prompts").items()) {
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      std::vector<Message> messages;
      for (const Json& message : json.at("messages")[i])
        messages.push_back(text_message(message.at("role").get<std::string>(), message.at("text").get<std::string>()));
      if (prompts[i].is_null())
        EXPECT_EQ(refusal([&] { render_conversation(name, messages, true); }).first, Fault::bad_request) << name;
      else
        EXPECT_EQ(render_conversation(name, messages, true), prompts[i].get<std::string>()) << name;
    }
  }
  EXPECT_EQ(json.at("prompts").size(), 26u);
  EXPECT_EQ(conversation_stop("llava_llama_3"), "<|eot_id|>");
  EXPECT_EQ(conversation_stop("qwen_1_5"), "<|im_end|>");
  EXPECT_EQ(conversation_stop("gemma_instruct"), "<end_of_turn>");
}

TEST(Conversation, ASystemMessageKeepsTheHeadOfItsConversation) {
  const std::vector<Message> messages{text_message("system", "Be brief."), text_message("user", "Hi")};
  EXPECT_EQ(render_conversation("mistral_zephyr", messages, true),
            "<|system|>\nBe brief.</s><|user|>\nHi</s><|assistant|>\n");
  EXPECT_NE(render_conversation("llava_llama_3", messages, true).find("system<|end_header_id|>\n\nBe brief.<|eot_id|>"),
            std::string::npos);
  EXPECT_EQ(refusal([&] { render_conversation("gemma_instruct", messages, true); }).first, Fault::bad_request);
}

TEST(Conversation, PicksByNameThenTypeThenBase) {
  using Hints = ConversationHints;
  const std::pair<Hints, const char*> kKnown[] = {
      {{.folder = "llava-v1.5-7b", .model_type = "", .base = ""}, "llava_v1"},
      {{.folder = "LLaVA-Llama-2-13b", .model_type = "", .base = ""}, "llava_llama_2"},
      {{.folder = "llava-v1.6-mistral-7b", .model_type = "", .base = ""}, "mistral_instruct"},
      {{.folder = "llava-v1.6-34b", .model_type = "llava_llama", .base = ""}, "chatml_direct"},
      {{.folder = "LLaVA-NeXT-Video-34B-DPO", .model_type = "", .base = ""}, "chatml_direct"},
      {{.folder = "LLaVA-7B-mpt", .model_type = "", .base = ""}, "mpt"},
      {{.folder = "llama3-llava-next-8b", .model_type = "llava_llama", .base = ""}, "llava_llama_3"},
      {{.folder = "llava-v1.6-llama-3-8b", .model_type = "llava_llama", .base = ""}, "llava_llama_3"},
      {{.folder = "llava-next-72b", .model_type = "llava_qwen", .base = ""}, "qwen_1_5"},
      {{.folder = "llava-onevision-qwen2-7b-ov", .model_type = "", .base = ""}, "qwen_1_5"},
      {{.folder = "llava-v1.6-gemma-2b", .model_type = "", .base = ""}, "gemma_instruct"},
      {{.folder = "LLaVA-NeXT-Video-7B", .model_type = "llava_llama", .base = ""}, "vicuna_v1"},
      {{.folder = "checkpoint", .model_type = "llava_mpt", .base = ""}, "mpt"},
      {{.folder = "mine", .model_type = "llava_mistral", .base = "vicuna"}, "mistral_instruct"},
      {{.folder = "mine", .model_type = "pmod_llava_llama", .base = ""}, "vicuna_v1"},
      {{.folder = "mine", .model_type = "llava_llama", .base = "Meta-Llama-3-8B-Instruct"}, "llava_llama_3"},
      {{.folder = "mine", .model_type = "llava_llama", .base = "vicuna-7b-v1.5"}, "vicuna_v1"},
      {{.folder = "mine", .model_type = "llava_llama", .base = "Nous-Hermes-2-Yi-34B"}, "chatml_direct"},
      {{.folder = "mine", .model_type = "llava_llama", .base = "llava-v1.5-7b"}, "llava_v1"}};
  for (const auto& [hints, expected] : kKnown) EXPECT_EQ(conversation_for(hints), expected) << hints.folder;
  EXPECT_FALSE(conversation_for({.folder = "my-model", .model_type = "llava_llama", .base = "checkpoints"}));
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

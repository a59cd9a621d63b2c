#include "text/labels.h"

#include <gtest/gtest.h>

#include "text/conversation.h"
#include "text/support.h"

namespace lithe::text {
namespace {

void expect_labels(const std::string& name, const Json& entry, const Json& expected, const Tokenizer& tokenizer) {
  std::vector<Message> messages = messages_of(entry.at("messages"));
  const bool image = entry.at("image").get<bool>();
  if (image) move_image_mark(name, messages);
  if (expected.contains("error")) {
    EXPECT_EQ(refusal([&] { label_conversation(name, messages, tokenizer, image); }).first, Fault::bad_request);
    return;
  }
  const LabelledIds result = label_conversation(name, messages, tokenizer, image);
  EXPECT_EQ(result.ids, expected.at("input_ids").get<std::vector<int64_t>>());
  EXPECT_EQ(result.labels, expected.at("labels").get<std::vector<int64_t>>());
  EXPECT_EQ(result.mismatch, expected.at("mismatch_warning").get<bool>());
}

TEST(Labels, GoldenMasks) {
  const TemporaryFolder folder;
  folder.copy(golden("conversations_tokenizer/tokenizer.model"));
  folder.copy(golden("conversations_tokenizer/special_tokens_map.json"));
  folder.write("tokenizer_config.json", R"({"legacy": true})");
  const Tokenizer legacy = Tokenizer::open(folder.path());
  const Tokenizer usual = Tokenizer::open(golden("conversations_tokenizer"));
  int compared = 0;
  for (const Json& entry : conversations().at("conversations")) {
    for (const auto& [name, expected] : entry.at("templates").items()) {
      for (const char* key : {"train", "train_legacy_tokenizer"}) {
        if (!expected.contains(key)) continue;
        SCOPED_TRACE(concat(entry.at("name").get<std::string>(), " ", name, " ", key));
        expect_labels(name, entry, expected.at(key), std::string_view(key) == "train" ? usual : legacy);
        ++compared;
      }
    }
  }
  EXPECT_EQ(compared, 11 * 6);
}

TEST(Labels, CutsTextsToTheLength) {
  const Tokenizer tokenizer = Tokenizer::open(golden("conversations_tokenizer"));
  const std::vector<Message> messages{text_message("user", "Hi"), text_message("assistant", std::string(500, 'x'))};
  const LabelledIds result = label_conversation("vicuna_v1", messages, tokenizer, false, 200);
  EXPECT_EQ(result.ids.size(), 200u);
  EXPECT_FALSE(result.mismatch);
  EXPECT_EQ(result.labels.back(), result.ids.back());
}

TEST(Labels, ConversationsWithoutTrainingForm) {
  const Tokenizer tokenizer = Tokenizer::open(golden("conversations_tokenizer"));
  const std::vector<Message> messages{text_message("user", "Hi"), text_message("assistant", "Ho")};
  for (const char* name : {"mpt", "llava_v0"}) {
    EXPECT_EQ(refusal([&] { label_conversation(name, messages, tokenizer, false); }).first, Fault::bad_request);
  }
}

}  // namespace
}  // namespace lithe::text

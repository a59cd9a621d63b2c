#include "data_sets/support.h"

namespace lithe::data {
namespace {

using testing::Test;

constexpr const char* kLlava = R"([
  {"id": "a", "image": "one.png", "conversations": [
    {"from": "human", "value": "<image>\nWhat is \"it\"? ]},"}, {"from": "gpt", "value": "A box."}]},
  {"id": 7, "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]},
  {"image": ["sub/two.png", "one.png"], "conversations": [
    {"from": "system", "value": "Be short."}, {"from": "human", "value": "<image> <image>\nWhich?"},
    {"from": "gpt", "value": "The \\ first."}]}
])";

class JsonSet : public Test {
 protected:
  void SetUp() override {
    folder_.write("one.png", png_of(1));
    folder_.write("sub/two.png", png_of(2));
  }

  std::unique_ptr<DataSet> open(const std::string& text, const std::string& name = "set.json") const {
    return DataSet::open({.path = folder_.write(name, text)});
  }
  /// Of a set whose only record is `text`.
  Record only(const std::string& text) const {
    const auto set = open("[" + text + "]");
    EXPECT_EQ(set->size(), 1);
    return set->read(0);
  }
  std::string refused(const std::string& text) const {
    return sentence_of([&] { only(text); });
  }

  TemporaryFolder folder_;
};

TEST_F(JsonSet, ReadsTheListsOfLlava) {
  const auto set = open(kLlava);
  ASSERT_EQ(set->size(), 3);
  const Record first = set->read(0), second = set->read(1), third = set->read(2);
  EXPECT_EQ(talk(first), "user: <image>\nWhat is \"it\"? ]},|assistant: A box.|");
  EXPECT_EQ(widths(first), std::vector<int64_t>{1});
  EXPECT_EQ(first.name, (folder_.path() / "set.json").string() + ", record 1, id \"a\"");
  EXPECT_EQ(talk(second), "user: Hi|assistant: Hello.|");
  EXPECT_TRUE(second.images.empty());
  EXPECT_TRUE(second.name.ends_with("record 2, id \"7\"")) << second.name;
  EXPECT_EQ(talk(third), "system: Be short.|user: <image> <image>\nWhich?|assistant: The \\ first.|");
  EXPECT_EQ(widths(third), (std::vector<int64_t>{2, 1}));
}

TEST_F(JsonSet, ReadsLinesWhateverTheFileIsCalled) {
  const std::string line = R"({"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]})";
  for (const char* name : {"set.jsonl", "set.json"}) {
    const auto set = open("\xEF\xBB\xBF" + line + "\r\n\n  " + line + "\n" + line, name);
    ASSERT_EQ(set->size(), 3);
    for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(talk(set->read(i)), "user: Q|assistant: A|");
  }
}

TEST_F(JsonSet, ReadsMessagesWithTextOrParts) {
  EXPECT_EQ(talk(only(R"({"messages": [{"role": "user", "content": "<image>Q"}, {"role": "assistant", "content": "A"}],
                          "images": ["one.png"]})")),
            "user: <image>Q|assistant: A|");
  const Record parts = only(R"({"messages": [
      {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Q"},
                                   {"type": "image_url", "image_url": {"url": "sub/two.png"}}]},
      {"role": "assistant", "content": [{"type": "text", "text": "A"}]}], "images": "one.png"})");
  EXPECT_EQ(talk(parts), "user: <image>\nQ<image>|assistant: A|");
  EXPECT_EQ(widths(parts), (std::vector<int64_t>{1, 2}));
}

TEST_F(JsonSet, ReadsRoundsOfAQuestionAndAnAnswer) {
  EXPECT_EQ(talk(only(R"({"images": ["one.png"], "texts": [{"user": "Q", "assistant": "A", "source": "x"},
                                                            {"user": "R", "assistant": "B"}]})")),
            "user: <image>\nQ|assistant: A|user: R|assistant: B|");
}

TEST_F(JsonSet, ReadsPicturesFromDataUrls) {
  // A picture of 1 x 1 pixel.
  const Record record = only(R"({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url":
      "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="}]},
      {"role": "assistant", "content": "A"}]})");
  EXPECT_EQ(widths(record), std::vector<int64_t>{1});
  EXPECT_EQ(record.images[0].decode()->rgb.size(), 3U);
}

TEST_F(JsonSet, PutsPicturesInFrontOfAQuestionWithoutMarks) {
  EXPECT_EQ(talk(only(R"({"question": "Q?", "answer": "A", "image": ["one.png", "sub/two.png"]})")),
            "user: <image> <image>\nQ?|assistant: A|");
}

TEST_F(JsonSet, ReadsAlpacaWithHistoryAndSystem) {
  EXPECT_EQ(talk(only(R"({"instruction": "Add.", "input": "1 2", "output": "3", "system": "Count.",
                          "history": [["Hi", "Hello."]]})")),
            "system: Count.|user: Hi|assistant: Hello.|user: Add.\n1 2|assistant: 3|");
}

TEST_F(JsonSet, TakesColumnsAndTagsByTheirNamesInLlamaFactory) {
  SetOptions options{.path = folder_.write("set.json", R"([{"chat": [{"who": "person", "says": "<image>Q"},
      {"who": "machine", "says": "A"}], "photo": "one.png", "conversations": "not this"}])")};
  options.columns = {{"messages", "chat"}, {"images", "photo"}};
  options.tags = {{"role_tag", "who"}, {"content_tag", "says"}, {"user_tag", "person"}, {"assistant_tag", "machine"}};
  const Record record = DataSet::open(options)->read(0);
  EXPECT_EQ(talk(record), "user: <image>Q|assistant: A|");
  EXPECT_EQ(widths(record), std::vector<int64_t>{1});
  options.columns = {{"massages", "chat"}};
  EXPECT_NE(sentence_of([&] { DataSet::open(options); }).find("no column \"massages\""), std::string::npos);
}

TEST_F(JsonSet, ReadsTheEntriesOfADatasetInfo) {
  folder_.write("talks.json", R"([{"chat": [{"role": "user", "content": "<image>Q"}, {"role": "assistant",
      "content": "A"}], "images": ["one.png"]}])");
  const auto info = folder_.write("dataset_info.json", R"({
      "talks": {"file_name": "talks.json", "formatting": "sharegpt", "columns": {"messages": "chat", "images": "images"},
                "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}},
      "hub": {"hf_hub_url": "some/where"}, "out": {"file_name": "../talks.json"},
      "loop": {"file_name": "dataset_info.json"}})");
  EXPECT_EQ(talk(DataSet::open({.path = info, .entry = "talks"})->read(0)), "user: <image>Q|assistant: A|");
  const auto refused = [&](const std::string& entry) {
    return sentence_of([&] { DataSet::open({.path = info, .entry = entry}); });
  };
  EXPECT_NE(refused("").find("say which entry: talks, hub"), std::string::npos);
  EXPECT_NE(refused("none").find("no entry \"none\""), std::string::npos);
  EXPECT_NE(refused("hub").find("downloaded first"), std::string::npos);
  EXPECT_NE(refused("out").find("does not lie below"), std::string::npos);
  EXPECT_NE(refused("loop").find("another dataset_info.json"), std::string::npos);
}

TEST_F(JsonSet, NamesTheRecordThatIsWrong) {
  const std::string good = R"({"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]})";
  const auto set = open("[" + good + R"(, {"id": "b", "image": "gone.png", "conversations":
      [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "A"}]}, {"a" 1}, 5])");
  EXPECT_EQ(talk(set->read(0)), "user: Q|assistant: A|");
  const std::string missing = sentence_of([&] { set->read(1); });
  EXPECT_NE(missing.find("set.json, record 2, id \"b\": "), std::string::npos) << missing;
  EXPECT_NE(missing.find("gone.png"), std::string::npos) << missing;
  EXPECT_NE(sentence_of([&] { set->read(2); }).find("record 3: its text: not valid JSON"), std::string::npos);
  EXPECT_NE(sentence_of([&] { set->read(3); }).find("record 4: it is number, not an object"), std::string::npos);
}

TEST_F(JsonSet, RefusesPicturesOutsideTheirFolder) {
  const auto ask = [&](const std::string& image) {
    return refused(R"({"conversations": [{"from": "human", "value": "<image>"}], "image": ")" + image + "\"}");
  };
  for (const char* image : {"../one.png", "sub/../../one.png", "/etc/passwd", "..", "."})
    EXPECT_NE(ask(image).find("does not lie below"), std::string::npos) << image;
  EXPECT_NE(ask("http://example.org/x.png").find("web address"), std::string::npos);
  EXPECT_EQ(widths(only(R"({"question": "Q", "answer": "A", "image": "sub/../one.png"})")), std::vector<int64_t>{1});
}

TEST_F(JsonSet, RefusesWhatDoesNotFit) {
  const auto has = [](const std::string& sentence, const char* part) {
    return sentence.find(part) != std::string::npos;
  };
  EXPECT_PRED2(has, refused(R"({"conversations": [{"from": "human", "value": "<image>"}]})"),
               "marks in its text (1) is not that of its pictures (0)");
  EXPECT_PRED2(has, refused(R"({"conversations": [{"from": "human", "value": "<image>"}],
                                "image": ["one.png", "one.png"]})"),
               "its text (1) is not that of its pictures (2)");
  EXPECT_PRED2(has, refused(R"({"conversations": [{"from": "tool", "value": "x"}]})"), "role \"tool\"");
  EXPECT_PRED2(has, refused(R"({"conversations": [{"from": "human"}]})"), "no \"value\" or \"content\"");
  EXPECT_PRED2(has, refused(R"({"conversations": [{"from": "human", "value": 3}]})"), "number, not a string");
  EXPECT_PRED2(has, refused(R"({"conversations": []})"), "conversation is empty");
  EXPECT_PRED2(has, refused(R"({"text": "x"})"), "neither a conversation");
  EXPECT_PRED2(has, refused(R"({"id": 1, "id": 2})"), "stands twice");
  EXPECT_PRED2(has, refused(R"({"messages": [{"role": "user", "content": [{"type": "audio"}]}]})"), "type \"audio\"");
}

TEST_F(JsonSet, RefusesListsThatAreCutOff) {
  const std::string whole = kLlava;
  EXPECT_EQ(open("[]")->size(), 0);
  for (std::size_t size = 1; size < whole.size(); size += 3)
    EXPECT_NE(sentence_of([&] { open(whole.substr(0, size)); }), "") << size;
  EXPECT_NE(sentence_of([&] { open(whole + "x"); }).find("followed by something else"), std::string::npos);
  EXPECT_NE(sentence_of([&] { open("nothing"); }).find("not a data set of a known format"), std::string::npos);
  EXPECT_NE(sentence_of([&] { open(" \n"); }).find("not a data set"), std::string::npos);
  EXPECT_NE(sentence_of([&] { open("\x1f\x8b\x08"); }).find("unpack it"), std::string::npos);
}

TEST_F(JsonSet, ReadsTheShardsOfAFolderOrGlob) {
  const auto line = [](const char* text) {
    return std::string(R"({"messages": [{"role": "user", "content": ")") + text + "\"}]}\n";
  };
  folder_.write("shards/b.jsonl", line("3"));
  folder_.write("shards/a.jsonl", line("1") + line("2"));
  for (const char* path : {"shards", "shards/*.jsonl"}) {
    const auto set = DataSet::open({.path = folder_.path() / path});
    ASSERT_EQ(set->size(), 3);
    for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(talk(set->read(i)), "user: " + std::to_string(i + 1) + "|");
    EXPECT_TRUE(set->read(2).name.ends_with("b.jsonl, record 1"));
  }
  EXPECT_NE(sentence_of([&] { DataSet::open({.path = folder_.path() / "*.tar"}); }).find("No file fits"),
            std::string::npos);
  EXPECT_NE(sentence_of([&] {
              DataSet::open({.path = folder_.path() / "shards", .entry = "train"});
            }).find("is not a dataset_info.json"),
            std::string::npos);
  EXPECT_NE(sentence_of([&] { DataSet::open({.path = folder_.path() / "gone"}); }).find("is not there"),
            std::string::npos);
}

// Vision tokens that tell the answer.
TEST_F(JsonSet, ReadsWhatARecordNeeds) {
  const std::string talk = R"("conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}])";
  const auto needed = [&](const std::string& image, const std::string& value) {
    return only(R"({"image": )" + image + R"(, "needed": )" + value + ", " + talk + "}").needed;
  };
  using Needed = std::vector<std::vector<int64_t>>;
  EXPECT_EQ(needed(R"("one.png")", "[3, 0, 143]"), (Needed{{3, 0, 143}}));
  EXPECT_EQ(needed(R"(["one.png", "sub/two.png"])", "[[1], [2, 5]]"), (Needed{{1}, {2, 5}}));
  EXPECT_TRUE(only("{" + talk + "}").needed.empty());
  for (const char* other : {"[]", "null", R"("a hammer")", R"(["a hammer"])", "[1.5]"})  // of another meaning
    EXPECT_TRUE(needed(R"("one.png")", other).empty()) << other;
  const auto wrong = [&](const std::string& image, const std::string& value) {
    return refused(R"({"image": )" + image + R"(, "needed": )" + value + ", " + talk + "}");
  };
  EXPECT_NE(wrong(R"("one.png")", "[-1]").find("not that of a vision token"), std::string::npos);
  EXPECT_NE(wrong(R"("one.png")", "[[1], [2]]").find("2 lists for 1 picture"), std::string::npos);
  EXPECT_NE(wrong(R"(["one.png", "sub/two.png"])", "[1]").find("one list of vision tokens for 2 pictures"),
            std::string::npos);
}

}  // namespace
}  // namespace lithe::data

#include "data_sets/support.h"

namespace lithe::data {
namespace {

/// A header of a tar archive and the bytes after it, in whole blocks.
std::string tar_entry(const std::string& name, const std::string& bytes, char type = '0') {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  char size[13];
  std::snprintf(size, sizeof size, "%011zo", bytes.size());
  header.replace(124, 11, size);
  header[156] = type;
  header.replace(257, 8,
                 std::string("ustar\0"
                             "00",
                             8));
  header.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  char text[9];
  std::snprintf(text, sizeof text, "%06o", sum);
  header.replace(148, 7, std::string(text, 7));
  std::string body = bytes;
  body.resize((bytes.size() + 511) / 512 * 512, '\0');
  return header + body;
}

const std::string kEnd(1024, '\0');
const std::string kTalk = R"({"id": "x", "image": "elsewhere.jpg", "conversations": [
    {"from": "human", "value": "<image>\nQ"}, {"from": "gpt", "value": "A"}]})";

std::unique_ptr<DataSet> open(const TemporaryFolder& folder, const std::string& tar) {
  return DataSet::open({.path = folder.write("set.tar", tar)});
}

TEST(WebDataset, ReadsSamplesOfConversationsAndCaptions) {
  const TemporaryFolder folder;
  const auto set =
      open(folder, tar_entry("a", "", '5') + tar_entry("a/1.json", kTalk) + tar_entry("a/1.png", png_of(1)) +
                       tar_entry("a/1.cls", "7") + tar_entry("a/2.png", png_of(2)) +
                       tar_entry("a/2.txt", "A red box.\n") + tar_entry("a/3.0.png", png_of(3)) +
                       tar_entry("a/3.1.PNG", png_of(4)) + tar_entry("a/3.txt", "Two.") + kEnd);
  ASSERT_EQ(set->size(), 3);
  EXPECT_EQ(talk(set->read(0)), "user: <image>\nQ|assistant: A|");
  EXPECT_EQ(widths(set->read(0)), std::vector<int64_t>{1});
  EXPECT_EQ(talk(set->read(1)), "user: <image>|assistant: A red box.|");
  EXPECT_EQ(widths(set->read(1)), std::vector<int64_t>{2});
  EXPECT_EQ(talk(set->read(2)), "user: <image> <image>|assistant: Two.|");
  EXPECT_EQ(widths(set->read(2)), (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(set->read(0).name, (folder.path() / "set.tar").string() + ", record 1, \"a/1\", id \"x\"");
}

TEST(WebDataset, ReadsLongNamesOfGnuAndPax) {
  const TemporaryFolder folder;
  const std::string name = std::string(150, 'n') + "/" + std::string(120, 'm');
  const std::string line = " path=" + name + ".png\n";
  const std::string pax = std::to_string(line.size() + 3) + line;
  const auto set =
      open(folder, tar_entry("././@LongLink", name + ".txt" + std::string(1, '\0'), 'L') + tar_entry("short", "Long.") +
                       tar_entry("pax", pax, 'x') + tar_entry("short", png_of(6)) + kEnd);
  ASSERT_EQ(set->size(), 1);
  EXPECT_EQ(talk(set->read(0)), "user: <image>|assistant: Long.|");
  EXPECT_EQ(widths(set->read(0)), std::vector<int64_t>{6});
}

TEST(WebDataset, RefusesDamagedArchives) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& tar) { return sentence_of([&] { open(folder, tar); }); };
  const auto has = [](const std::string& sentence, const char* part) {
    return sentence.find(part) != std::string::npos;
  };
  const std::string good = tar_entry("1.txt", "x") + tar_entry("1.png", png_of(1));
  for (std::size_t size = 512; size <= good.size(); size += 100)
    EXPECT_PRED2(has, refused(good.substr(0, size)), "cut off") << size;
  std::string broken = good + kEnd;
  broken[512 + 512 + 3] = 'x';
  EXPECT_PRED2(has, refused(broken), "tar entry 2 has a damaged header");
  EXPECT_PRED2(has, refused(tar_entry("../1.txt", "x") + kEnd), "leads out of its folder");
  EXPECT_PRED2(has, refused(tar_entry("/1.txt", "x") + kEnd), "leads out of its folder");
  EXPECT_PRED2(has, refused(tar_entry("1.txt", "", '2') + kEnd), "is not a regular file");
  EXPECT_PRED2(has, refused(tar_entry("1.txt", "x") + tar_entry("1.txt", "y") + kEnd), "stands twice");
  EXPECT_PRED2(has, refused(tar_entry("1.json", kTalk) + tar_entry("1.JSON", kTalk) + kEnd), "stands twice");
  EXPECT_PRED2(has, refused(tar_entry("1.txt", "x") + tar_entry("2.txt", "x") + tar_entry("1.png", "y") + kEnd),
               "don't stand one after the other");
  EXPECT_PRED2(has, refused(tar_entry("pax", "99 path=x\n", 'x') + kEnd), "damaged pax header");
  EXPECT_PRED2(has, refused(tar_entry("pax", "20 size=99999999999\n", 'x') + tar_entry("1.txt", "x") + kEnd),
               "claims more bytes than there are");
  const auto caption = open(folder, tar_entry("1.txt", "x") + kEnd);
  EXPECT_PRED2(has, sentence_of([&] { caption->read(0); }), "caption of a picture that is not there");
}

}  // namespace
}  // namespace lithe::data

#include "data_sets/support.h"

#include <zlib.h>

namespace lithe::data {
namespace {

void put(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i, value >>= 8) out += static_cast<char>(value & 0xff);
}

/// A zip file of stored entries.
std::string zip_of(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string body, directory;
  for (const auto& [name, bytes] : files) {
    const auto crc = crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size()));
    std::string common;  // what both headers hold: flags, method, time, checksum, sizes, lengths
    put(common, 0, 8);
    put(common, crc, 4);
    put(common, bytes.size(), 4);
    put(common, bytes.size(), 4);
    put(common, name.size(), 2);
    put(common, 0, 2);
    const std::size_t offset = body.size();
    put(body, 0x04034b50, 4);
    put(body, 20, 2);
    body += common + name + bytes;
    put(directory, 0x02014b50, 4);
    put(directory, 20 | 20 << 16, 4);
    directory += common;
    put(directory, 0, 10);
    put(directory, offset, 4);
    directory += name;
  }
  std::string end;
  put(end, 0x06054b50, 4);
  put(end, 0, 4);
  put(end, files.size(), 2);
  put(end, files.size(), 2);
  put(end, directory.size(), 4);
  put(end, body.size(), 4);
  put(end, 0, 2);
  return body + directory + end;
}

TEST(Zip, HoldsThePicturesOfARecord) {
  const TemporaryFolder folder;
  const auto zip = folder.write("pictures.zip", zip_of({{"a/1.png", png_of(1)}, {"2.png", png_of(2)}}));
  const auto set =
      DataSet::open({.path = folder.write("set.jsonl", R"({"question": "Q", "answer": "A", "image": "a/1.png"}
      {"question": "Q", "answer": "A", "image": ["./2.png", "a/../2.png"]}
      {"question": "Q", "answer": "A", "image": "3.png"}
      {"question": "Q", "answer": "A", "image": "../2.png"})"),
                     .images = zip});
  EXPECT_EQ(widths(set->read(0)), std::vector<int64_t>{1});
  EXPECT_EQ(widths(set->read(1)), (std::vector<int64_t>{2, 2}));
  const std::string missing = sentence_of([&] { set->read(2); });
  EXPECT_NE(missing.find("record 3: "), std::string::npos) << missing;
  EXPECT_NE(missing.find("pictures.zip: has no picture \"3.png\""), std::string::npos) << missing;
  EXPECT_NE(sentence_of([&] { set->read(3); }).find("does not lie below"), std::string::npos);
}

TEST(Zip, ThatIsNoneIsRefused) {
  const TemporaryFolder folder;
  const auto set = folder.write("set.json", "[]");
  const auto refused = [&](const std::filesystem::path& images) {
    return sentence_of([&] { DataSet::open({.path = set, .images = images}); });
  };
  EXPECT_NE(refused(set).find("neither a folder nor a .zip file"), std::string::npos);
  EXPECT_NE(refused(folder.path() / "gone").find("is not there"), std::string::npos);
  const std::string whole = zip_of({{"1.png", png_of(1)}});
  EXPECT_NE(refused(folder.write("cut.zip", whole.substr(0, whole.size() - 30))).find("cut off"), std::string::npos);
}

}  // namespace
}  // namespace lithe::data

#include "data_sets/support.h"

namespace lithe::data {
namespace {

/// The JSON blocks of a page.
std::vector<std::string> blocks_of(const std::string& page) {
  std::vector<std::string> blocks;
  const std::string begin = "```json\n", end = "```";
  for (std::size_t at = 0; (at = page.find(begin, at)) != page.npos;) {
    at += begin.size();
    blocks.push_back(page.substr(at, page.find(end, at) - at));
  }
  return blocks;
}

TEST(Docs, ExamplesAreRead) {
  const TemporaryFolder folder;
  folder.write("box.png", png_of(1));
  folder.write("boxes.json", R"([{"talk": [{"role": "user", "content": "<image>Q"}], "photos": ["box.png"]}])");
  const std::vector<std::string> blocks = blocks_of(bytes_of(std::filesystem::path(LITHE_SOURCE_DIR) / "docs/data.md"));
  std::vector<std::string> talks;
  for (const std::string& block : blocks) {
    const bool info = block.find("file_name") != block.npos;
    const auto set = DataSet::open({.path = folder.write(info ? "dataset_info.json" : "set.json", block)});
    for (int64_t i = 0; i < set->size(); ++i) talks.push_back(talk(set->read(i)));
  }
  EXPECT_EQ(talks, (std::vector<std::string>{
                       "user: <image>\nWhat is in the box?|assistant: A cat.|",
                       "user: <image>What is in the box?|assistant: A cat.|",
                       "user: <image>\nWhat is in the box?|assistant: A cat.|",
                       "user: <image>|assistant: A cat.|",
                       "user: <image>\nWhat is in the box?|assistant: A cat.|user: Its colour?|assistant: Black.|",
                       "user: <image>\nWhat is in the box?|assistant: A cat.|",
                       "system: Be short.|user: Hello.|assistant: Hello!|user: Translate.\nkatt|assistant: cat|",
                       "user: <image>Q|",
                   }));
}

}  // namespace
}  // namespace lithe::data

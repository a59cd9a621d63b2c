#include <random>
#include <thread>

#include "data_sets/support.h"

namespace lithe::data {
namespace {

namespace fs = std::filesystem;

const fs::path kFixtures = fs::path(LITHE_TEST_DATA) / "data_sets";  // tools/make_table_fixtures.py wrote them

void expect_talk(const DataSet& set, int64_t i) {
  const int64_t kind = i % 5;
  const Record record = set.read(i);
  const std::string number = std::to_string(kind);
  const std::string mark = kind == 3 ? "" : "<image>\n";
  EXPECT_EQ(talk(record), "user: " + mark + "Question " + number + "?|assistant: Answer " + number + ".|");
  EXPECT_EQ(widths(record), kind == 3 ? std::vector<int64_t>{} : std::vector<int64_t>{kind + 1});
  for (const image::Source& source : record.images) EXPECT_EQ(source.decode()->height, 2);
}

class Talks : public testing::TestWithParam<const char*> {};

TEST_P(Talks, AreReadInAnyOrder) {
  const auto set = DataSet::open({.path = kFixtures / GetParam()});
  ASSERT_EQ(set->size(), 5);
  for (const int64_t i : {4, 0, 3, 1, 2, 2}) expect_talk(*set, i);
  EXPECT_EQ(set->read(3).name, (kFixtures / GetParam()).string() + ", record 4, id \"3\"");
}

INSTANTIATE_TEST_SUITE_P(Tables, Talks,
                         testing::Values("talks_none.parquet", "talks_snappy.parquet", "talks_gzip.parquet",
                                         "talks_zstd.parquet", "talks.arrow", "talks_file.arrow", "talks_zstd.arrow"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(Tables, OfSmallPagesAreReadByManyThreads) {
  const auto set = DataSet::open({.path = kFixtures / "pages.parquet"});
  ASSERT_EQ(set->size(), 200);
  std::vector<std::thread> threads;
  for (uint32_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&set, seed] {
      std::mt19937 random(seed);
      for (int i = 0; i < 100; ++i) expect_talk(*set, static_cast<int64_t>(random() % 200));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Tables, OfManyPagesAreReadFromAnyBlock) {
  const auto set = DataSet::open({.path = kFixtures / "required.parquet"});
  ASSERT_EQ(set->size(), 1100);
  for (const int64_t i : {1099, 0, 1024, 1023, 500}) {
    char text[80];
    std::snprintf(text, sizeof text, "user: Question %04d|assistant: The answer %02d|", static_cast<int>(i),
                  static_cast<int>(i % 100));
    EXPECT_EQ(talk(set->read(i)), text);
  }
}

TEST(Tables, OfPlainColumnsAndDictionariesAreRead) {
  for (const char* name : {"plain.parquet", "dictionary.arrow"}) {
    const auto set = DataSet::open({.path = kFixtures / name});
    ASSERT_EQ(set->size(), 5);
    for (int64_t i = 0; i < 5; ++i) {
      const Record record = set->read(i);
      EXPECT_EQ(talk(record), concat("user: <image>\nQuestion ", i, "?|assistant: Answer ", i, ".|"));
      EXPECT_EQ(widths(record), std::vector<int64_t>{i + 1});
    }
  }
}

TEST(Tables, AreJoinedFromShards) {
  const auto set = DataSet::open({.path = kFixtures / "talks_*.parquet"});
  ASSERT_EQ(set->size(), 20);
  for (int64_t i = 0; i < 20; ++i) expect_talk(*set, i);
}

TEST(Tables, SayWhichColumnsTheyHave) {
  const std::string sentence = sentence_of([] {
    DataSet::open({.path = kFixtures / "plain.parquet",
                   .columns = {{"prompt", "ask"}, {"response", "say"}, {"images", "photo"}}});
  });
  EXPECT_NE(sentence.find("it has none of the columns that are read; it has image, question, answer"),
            std::string::npos)
      << sentence;
}

TEST(Tables, PackedInAnotherWaySaySo) {
  const auto arrow = DataSet::open({.path = kFixtures / "lz4.arrow"});
  const auto expect = [](const std::string& sentence, const char* method) {
    const std::string wanted = concat("it is compressed with ", method, ", which is not read; write it with zstd");
    EXPECT_NE(sentence.find(wanted), std::string::npos) << sentence;
  };
  expect(sentence_of([&] { arrow->read(0); }), "lz4");
  for (const char* const method : {"lz4", "brotli"}) {
    const fs::path file = kFixtures / concat(method, ".parquet");
    expect(sentence_of([&] { DataSet::open({.path = file}); }), method);
  }
}

}  // namespace
}  // namespace lithe::data

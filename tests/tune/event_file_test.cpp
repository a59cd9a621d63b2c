#include "tune/event_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>

namespace lithe::tune {
namespace {

// A reader of its own: it shares no line with the writer.

uint64_t little_endian(const std::string& bytes, std::size_t at, int count) {
  uint64_t number = 0;
  for (int i = count - 1; i >= 0; --i)
    number = number << 8 | static_cast<unsigned char>(bytes.at(at + static_cast<std::size_t>(i)));
  return number;
}

/// Bit by bit, as the polynomial is defined.
uint32_t slow_masked_crc(const std::string& bytes) {
  uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
  }
  crc ^= 0xffffffff;
  return (crc >> 15 | crc << 17) + 0xa282ead8;
}

std::vector<std::string> records_in(const std::string& file) {
  std::vector<std::string> records;
  for (std::size_t at = 0; at < file.size();) {
    const auto length = static_cast<std::size_t>(little_endian(file, at, 8));
    if (little_endian(file, at + 8, 4) != slow_masked_crc(file.substr(at, 8))) throw std::runtime_error("length");
    const std::string data = file.substr(at + 12, length);
    if (little_endian(file, at + 12 + length, 4) != slow_masked_crc(data)) throw std::runtime_error("data");
    records.push_back(data);
    at += 16 + length;
  }
  return records;
}

/// The fields of a message: number, and the varint, the 4 or 8 bytes, or the bytes.
struct Fields : std::map<int, std::string> {
  explicit Fields(const std::string& message) {
    for (std::size_t at = 0; at < message.size();) {
      const uint64_t tag = varint(message, at);
      const int wire = static_cast<int>(tag & 7);
      std::string value;
      if (wire == 0) {
        value = std::to_string(varint(message, at));
      } else {
        const auto size = wire == 1 ? 8 : wire == 5 ? 4 : static_cast<std::size_t>(varint(message, at));
        if (wire != 1 && wire != 2 && wire != 5) throw std::runtime_error("wire type");
        value = message.substr(at, size);
        at += size;
      }
      (*this)[static_cast<int>(tag >> 3)] = value;
    }
  }
  static uint64_t varint(const std::string& message, std::size_t& at) {
    uint64_t number = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(message.at(at++));
      number |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return number;
    }
  }
};

float real32(const std::string& bytes) {
  float value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

double real(const std::string& bytes) {
  double value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

TEST(EventFile, ChecksumIsCastagnolis) {
  // RFC 3720, appendix B.4.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

TEST(EventFile, ScalarReadsBack) {
  const Fields event(scalar_event({1234.5, 300}, "train/loss", 0.75f));
  EXPECT_EQ(real(event.at(1)), 1234.5);
  EXPECT_EQ(event.at(2), "300");
  const Fields value(Fields(event.at(5)).at(1));
  EXPECT_EQ(value.at(1), "train/loss");
  EXPECT_EQ(real32(value.at(2)), 0.75f);
}

TEST(EventFile, TextReadsBack) {
  const std::string text(300, 'x');  // a length of two bytes
  const Fields value(Fields(Fields(text_event({1, 2}, "recipe", text)).at(5)).at(1));
  EXPECT_EQ(value.at(1), "recipe");
  EXPECT_EQ(Fields(value.at(8)).at(1), "7");
  EXPECT_EQ(Fields(value.at(8)).at(8), text);
  EXPECT_EQ(Fields(Fields(value.at(9)).at(1)).at(1), "text");
}

TEST(EventFile, FilesOfAResumedRunStandBesideEachOther) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "event_file_test";
  std::filesystem::remove_all(folder);
  StepRecord record{.step = 1, .loss = 2, .grad_norm = 3, .lr = 4, .tokens = 100, .seconds = 0.5};
  record.more = Json{{"kept_share", 0.5}, {"router_weights", {{"8", 1.25}}}, {"eval_loss", 0.125}, {"note", "x"}};
  std::filesystem::path first, second;
  {
    EventFile file(folder, 1);
    first = file.path();
    file.scalars(record);
    file.text(0, "recipe", "seed: 1");
    EventFile again(folder, 7);
    second = again.path();
  }
  EXPECT_NE(first, second);
  EXPECT_TRUE(first.filename().string().starts_with("events.out.tfevents."));
  const auto records = [](const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return records_in({std::istreambuf_iterator<char>(in), {}});
  };
  const std::vector<std::string> events = records(first);
  EXPECT_EQ(Fields(events.at(0)).at(3), "brain.Event:2");
  std::map<std::string, float> scalars;
  for (std::size_t i = 1; i + 1 < events.size(); ++i) {
    const Fields value(Fields(Fields(events[i]).at(5)).at(1));
    scalars[value.at(1)] = real32(value.at(2));
  }
  EXPECT_EQ(scalars, (std::map<std::string, float>{{"train/loss", 2},
                                                   {"train/grad_norm", 3},
                                                   {"train/learning_rate", 4},
                                                   {"train/tokens_per_second", 200},
                                                   {"train/kept_share", 0.5},
                                                   {"eval/loss", 0.125},
                                                   {"router_weight/layer_8", 1.25}}));
  const std::vector<std::string> restart = records(second);
  ASSERT_EQ(restart.size(), 2u);
  EXPECT_EQ(Fields(restart[1]).at(2), "7");
  EXPECT_EQ(Fields(Fields(restart[1]).at(7)).at(1), "1");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace lithe::tune

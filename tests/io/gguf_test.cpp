#include "io/gguf.h"

#include "io/io_test_support.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;

const fs::path kGgufCorpus = fs::path(LITHE_SOURCE_DIR) / "tests/fuzz/corpus/io_gguf";

GgufFile parsed(const std::string& text) {
  const auto copy = std::make_shared<const std::string>(text);
  return GgufFile::parse({as_bytes(*copy), copy, "model.gguf"});
}

/// A number of the format, little-endian.
template <class T>
std::string number(T value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
  return bytes;
}

std::string text(const std::string& value) {
  return number<uint64_t>(value.size()) + value;
}

std::string head(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
  return "GGUF" + number(version) + number(tensors) + number(keys);
}

/// A file with one tensor whose data begin at the next multiple of 32.
std::string with_tensor(const std::string& name, const std::vector<uint64_t>& sizes, uint32_t type, uint64_t offset,
                        std::size_t data_bytes) {
  std::string file = head(1, 0) + text(name) + number<uint32_t>(static_cast<uint32_t>(sizes.size()));
  for (const uint64_t size : sizes) file += number(size);
  file += number(type) + number(offset);
  file.resize((file.size() + 31) / 32 * 32 + data_bytes, 'x');
  return file;
}

void expect_parse_refused(const std::string& file, const std::string& part) {
  expect_refused([&] { parsed(file); }, part);
}

TEST(Gguf, ReadsEveryKindOfValue) {
  const GgufFile file = GgufFile::open(kGgufCorpus / "kinds");
  EXPECT_EQ(file.text("general.architecture"), "llama");
  for (const char* const kind : {"uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"}) {
    EXPECT_EQ(file.integer(std::string("whole.") + kind), 7) << kind;
    EXPECT_EQ(file.number(std::string("whole.") + kind), 7) << kind;
  }
  EXPECT_EQ(file.number("real.float32"), 0.5);
  EXPECT_EQ(file.number("real.float64"), 0.25);
  EXPECT_TRUE(file.boolean("flag", false));
  EXPECT_EQ(file.text("text"), "a text");
  EXPECT_EQ(file.texts("list.texts"), (std::vector<std::string>{"one", "", "three"}));
  EXPECT_EQ(file.integers("list.wholes"), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(file.numbers("list.reals"), (std::vector<double>{0.5, 1.5}));
  EXPECT_EQ(file.integer("nothing", 3), 3);
  EXPECT_TRUE(file.texts("nothing").empty());
}

TEST(Gguf, ShapesAreRowMajorAndBytesHaveJustTheirSize) {
  const GgufFile file = GgufFile::open(kGgufCorpus / "kinds");
  const GgufTensor& plain = *file.find("f32");
  EXPECT_EQ(plain.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(plain.bytes.span.size(), 24u);
  EXPECT_EQ(little_endian<uint32_t>(plain.bytes.span, 20), 0x40a00000u);  // 5.0f
  EXPECT_EQ(file.find("q8_0")->type, GgufType::q8_0);
  EXPECT_EQ(file.find("q8_0")->bytes.span.size(), 68u);
  EXPECT_EQ(file.find("other"), nullptr);
  const GgufFile aligned = GgufFile::open(kGgufCorpus / "aligned");
  EXPECT_EQ(aligned.integer("general.alignment"), 64);
  EXPECT_EQ(little_endian<uint16_t>(aligned.find("b")->bytes.span, 0), 0x3c00);  // 1 as float16
}

TEST(Gguf, TellsTheArchitectureWithoutTheRest) {
  EXPECT_EQ(gguf_architecture(kGgufCorpus / "aligned"), "clip");
  TemporaryFolder folder;
  const std::string key = text("general.architecture") + number<uint32_t>(8) + text("llama");
  write_file(folder.path() / "cut.gguf", head(7, 9) + key + "and then nothing that makes sense");
  EXPECT_EQ(gguf_architecture(folder.path() / "cut.gguf"), "llama");
  EXPECT_TRUE(is_gguf(folder.path() / "cut.gguf"));
  write_file(folder.path() / "other.gguf", "GGU");
  EXPECT_FALSE(is_gguf(folder.path() / "other.gguf"));
  EXPECT_FALSE(is_gguf(folder.path()));
}

TEST(Gguf, AValueOfAnotherKindIsRefused) {
  const GgufFile file = GgufFile::open(kGgufCorpus / "kinds");
  expect_refused([&] { file.integer("text"); }, "\"text\" of its metadata is not a whole number");
  expect_refused([&] { file.text("flag"); }, "\"flag\" of its metadata is not a text");
  expect_refused([&] { file.texts("list.wholes"); }, "is not a list of texts");
  expect_refused([&] { file.integers("list.reals"); }, "is not a list of whole numbers");
  expect_refused([&] { file.numbers("list.texts"); }, "is not a list of numbers");
  expect_refused([&] { file.number("absent"); }, "its metadata has no \"absent\"");
}

TEST(Gguf, WhatIsNotSuchAFileIsRefused) {
  expect_parse_refused("", "is not a GGUF file");
  expect_parse_refused("GGUF", "ends inside of its first numbers");
  expect_parse_refused(head(0, 0, 1), "of version 1, and 2 and 3 are read");
  expect_parse_refused("GGUF" + std::string("\0\0\0\3", 4) + std::string(16, '\0'), "for big-endian machines");
  EXPECT_TRUE(parsed(head(0, 0, 2)).tensors().empty());
}

TEST(Gguf, ClaimsBeyondTheFileAreRefusedBeforeAnythingIsAllocated) {
  expect_parse_refused(head(0, uint64_t{1} << 60), "claims 1152921504606846976 keys");
  expect_parse_refused(head(uint64_t{1} << 60, 0), "claims 1152921504606846976 tensors");
  expect_parse_refused(head(0, 1) + number(~uint64_t{0}), "the key of a value claims 18446744073709551615 bytes");
  const std::string key = head(0, 1) + text("k");
  expect_parse_refused(key + number<uint32_t>(8) + number<uint64_t>(100), "the value of \"k\" claims 100 bytes");
  expect_parse_refused(key + number<uint32_t>(9) + number<uint32_t>(5) + number(uint64_t{1} << 62),
                       "claims 4611686018427387904 elements");
  expect_parse_refused(key + number<uint32_t>(9) + number<uint32_t>(9) + number<uint64_t>(1), "is not supported");
  expect_parse_refused(key + number<uint32_t>(77), "has the type 77, which is not known");
  expect_parse_refused(head(0, 2) + (text("k") + number<uint32_t>(7) + "\1") + (text("k") + number<uint32_t>(7) + "\1"),
                       "the key \"k\" stands twice");
}

TEST(Gguf, TensorsThatDoNotLieInTheFileAreRefused) {
  EXPECT_EQ(parsed(with_tensor("t", {8}, 0, 0, 32)).find("t")->bytes.span.size(), 32u);
  expect_parse_refused(with_tensor("t", {8}, 0, 0, 31), "takes 32 bytes from byte 0 of the data, which has 31");
  expect_parse_refused(with_tensor("t", {8}, 0, uint64_t{1} << 63, 64), "is the file cut off?");
  expect_parse_refused(with_tensor("t", {8}, 0, 8, 64), "which is not a multiple of 32");
  expect_parse_refused(with_tensor("t", {uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0, 64), "than any file can hold");
  expect_parse_refused(with_tensor("t", {~uint64_t{0}}, 0, 0, 64), "than any file can hold");
  expect_parse_refused(with_tensor("t", {8, 0}, 0, 0, 64), "has a dimension of 0");
  expect_parse_refused(with_tensor("t", {1, 1, 1, 1, 8}, 0, 0, 64), "claims 5 dimensions");
  expect_parse_refused(with_tensor("t", {40}, 8, 0, 64), "is 40 wide, which blocks of Q8_0 with 32 numbers");
  expect_parse_refused(with_tensor("t", {32}, 99, 0, 64), "has the type 99, which is not known");
  // Two tensors in one place.
  std::string file = head(2, 0);
  for (const char* const name : {"a", "b"})
    file += text(name) + number<uint32_t>(1) + number<uint64_t>(8) + number<uint32_t>(0) + number<uint64_t>(0);
  file.resize((file.size() + 31) / 32 * 32 + 64, 'x');
  expect_parse_refused(file, "inside the tensor before it");
}

}  // namespace
}  // namespace lithe::io

#include "io/safetensors.h"

#include <gtest/gtest.h>

#include "io/io_test_support.h"

namespace lithe::io {
namespace {

using Tensors = std::vector<std::pair<std::string, TensorView>>;

/// A view of the first bytes of kPattern.
TensorView pattern(Dtype dtype, std::vector<int64_t> shape) {
  const auto size = static_cast<std::size_t>(*bytes_of(dtype, shape));
  return {dtype, std::move(shape), kPattern.subspan(0, size), nullptr, "pattern"};
}

/// A file with this header and `data_size` zero bytes.
std::string file_of(const std::string& header, std::size_t data_size) {
  std::string out(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);
  return out + header + std::string(data_size, '\0');
}

SafetensorsFile parse(const std::string& text) {
  const auto copy = std::make_shared<std::string>(text);
  return parse_safetensors({as_bytes(*copy), copy, "a.safetensors"});
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

TEST(Safetensors, RoundTripKeepsEveryDtypeShapeAndByte) {
  const TemporaryFolder folder;
  Tensors tensors{{"scalar", pattern(Dtype::float32, {})}, {"empty", pattern(Dtype::int64, {2, 0})}};
  for (const char* name : {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"}) {
    tensors.emplace_back(name, pattern(*dtype_named(name), {3, 1}));
  }
  write_safetensors(folder / "a.safetensors", tensors, {{"format", "pt"}});

  const SafetensorsFile file = open_safetensors(folder / "a.safetensors");
  EXPECT_EQ(file.metadata, (Metadata{{"format", "pt"}}));
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) expect_equal(file.tensors.at(name), tensor, name);
  for (const auto& [name, tensor] : file.tensors) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.bytes.data()) % size_of(tensor.dtype), 0u) << name;
  }
}

TEST(Safetensors, TensorsAreViewsIntoOneMapping) {
  const TemporaryFolder folder;
  write_safetensors(folder / "a.safetensors",
                    {{"a", pattern(Dtype::float32, {2})}, {"b", pattern(Dtype::float32, {3})}});
  const SafetensorsFile file = open_safetensors(folder / "a.safetensors");
  EXPECT_EQ(file.tensors.at("b").bytes.data(), file.tensors.at("a").bytes.data() + 8);
  EXPECT_EQ(file.tensors.at("a").owner, file.tensors.at("b").owner);
}

TEST(Safetensors, AMisalignedTensorIsCopied) {
  const std::string header =
      "{" + entry("a", "\"U8\"", "[1]", "[0,1]") + "," + entry("b", "\"F32\"", "[1]", "[1,5]") + "}  ";
  std::string text = file_of(header, 5);
  text[text.size() - 1] = 0x3f;  // 0x3f800000 is 1.0f
  text[text.size() - 2] = static_cast<char>(0x80);
  const SafetensorsFile file = parse(text);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file.tensors.at("b").bytes.data()) % 4, 0u);
  EXPECT_EQ(file.tensors.at("b").values<float>()[0], 1.0F);
}

TEST(Safetensors, AFileMayHoldNothing) {
  EXPECT_TRUE(parse(file_of("{}", 0)).tensors.empty());
}

TEST(Safetensors, WritingTheSameTwiceGivesTheSameBytes) {
  const TemporaryFolder folder;
  const Tensors tensors{{"b", pattern(Dtype::float32, {2})}, {"a", pattern(Dtype::uint8, {3})}};
  write_safetensors(folder / "a.safetensors", tensors);
  write_safetensors(folder / "b.safetensors", {tensors.rbegin(), tensors.rend()});
  EXPECT_EQ(read_file(folder / "a.safetensors"), read_file(folder / "b.safetensors"));
}

TEST(Safetensors, TheDataBeginsAtAMultipleOfEight) {
  const TemporaryFolder folder;
  for (const char* name : {"a", "ab", "abc", "abcdefgh"}) {
    write_safetensors(folder / "a.safetensors", {{name, pattern(Dtype::float32, {2})}});
    EXPECT_EQ((read_file(folder / "a.safetensors").size() - 8) % 8, 0u) << name;
  }
}

TEST(Safetensors, HostileFilesAreRefused) {
  const std::string good = entry("w", "\"F32\"", "[2]", "[0,8]");
  const struct {
    std::string text;
    const char* sentence;
  } cases[] = {
      {"", "0 bytes are too few for a safetensors file"},
      {std::string(7, '\0'), "7 bytes are too few"},
      {std::string(8, '\xff'), "claims a header of 18446744073709551615 bytes, the limit is 100000000"},
      {std::string("\x09\0\0\0\0\0\0\0{}", 10), "claims a header of 9 bytes, the file has 10; is it cut off?"},
      {file_of("", 0), "the header: not valid JSON at byte 1"},
      {file_of("[]", 0), "the header is not a JSON object"},
      {file_of("{\"w\":", 0), "the header: not valid JSON"},
      {file_of("{\"w\":1e999}", 0), "a number is out of range"},
      {file_of("{\"\xff\":1}", 0), "the header: not valid JSON"},
      {file_of("{\"w\":" + std::string(100000, '[') + std::string(100000, ']') + "}", 0),
       "nested deeper than 3 levels"},
      {file_of("{" + good + "," + good + "}", 8), "the header: the key \"w\" stands twice"},
      {file_of("{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F16\"}}", 8), "the header: the key \"dtype\" stands twice"},
      {file_of("{\"w\":3}", 0), "tensor \"w\" is not described by a JSON object"},
      {file_of("{\"w\":{}}", 0), "tensor \"w\" has no 'dtype'"},
      {file_of("{\"w\":{\"dtype\":\"F32\"}}", 0), "tensor \"w\" has no 'shape'"},
      {file_of("{\"w\":{\"dtype\":\"F32\",\"shape\":[]}}", 0), "tensor \"w\" has no 'data_offsets'"},
      {file_of("{" + entry("w", "5", "[2]", "[0,8]") + "}", 8), "has a dtype that is not a string"},
      {file_of("{" + entry("w", "\"F8_E4M3\"", "[8]", "[0,8]") + "}", 8), "is quantised to \"F8_E4M3\""},
      {file_of("{" + entry("w", "\"F32\"", "2", "[0,8]") + "}", 8), "has a shape that is not a list"},
      {file_of("{" + entry("w", "\"F32\"", "[-2]", "[0,8]") + "}", 8), "has the size \"-2\" in its shape"},
      {file_of("{" + entry("w", "\"F32\"", "[2.0]", "[0,8]") + "}", 8), "has the size \"2.0\" in its shape"},
      {file_of("{" + entry("w", "\"F32\"", "[18446744073709551615]", "[0,8]") + "}", 8), "has the size"},
      {file_of("{" + entry("w", "\"F32\"", "[3]", "[0,8]") + "}", 8), "is F32 [3], which does not fit its 8 bytes"},
      {file_of("{" + entry("w", "\"F32\"", "[4294967296,4294967296]", "[0,8]") + "}", 8), "does not fit its 8 bytes"},
      {file_of("{" + entry("w", "\"F32\"", "[2]", "[0]") + "}", 8), "has data_offsets that are not two numbers"},
      {file_of("{" + entry("w", "\"F32\"", "[2]", "[-8,0]") + "}", 8), "has data_offsets that are not two numbers"},
      {file_of("{" + entry("w", "\"F32\"", "[2]", "[8,0]") + "}", 8), "ends at byte 0, before its begin at 8"},
      {file_of("{" + good + "}", 7), "ends at byte 8 of the data, which has 7; is the file cut off?"},
      {file_of("{" + good + "}", 9), "1 bytes after the last tensor belong to none"},
      {file_of("{" + entry("w", "\"F32\"", "[2]", "[1,9]") + "}", 9),
       "bytes 0 to 1 before tensor \"w\" belong to no tensor"},
      {file_of("{" + good + "," + entry("x", "\"F32\"", "[2]", "[4,12]") + "}", 12),
       "tensor \"x\" begins at byte 4, inside the tensor before it, which ends at 8"},
      {file_of("{" + good + "," + entry("x", "\"F32\"", "[2]", "[0,8]") + "}", 8), "inside the tensor before it"},
      {file_of("{\"__metadata__\":[]}", 0), "__metadata__ is not a JSON object"},
      {file_of("{\"__metadata__\":{\"a\":1}}", 0), "__metadata__ \"a\" is not a string"},
      {file_of("{\"a\\nb\":3}", 0), "tensor \"a\\nb\" is not described"},
  };
  for (const auto& [text, sentence] : cases) {
    expect_refused([&] { parse(text); }, sentence);
    EXPECT_TRUE(refusal([&] { parse(text); }).starts_with("a.safetensors: ")) << sentence;
  }
}

TEST(SafetensorsWriter, TakesTensorsInAnyOrder) {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder / "a.safetensors", {{"a", Dtype::float32, {2}}, {"b", Dtype::float64, {1}}});
  writer.put("b", kPattern.subspan(8, 8));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.safetensors"));
  writer.put("a", kPattern.subspan(0, 8));
  writer.commit();
  const SafetensorsFile file = open_safetensors(folder / "a.safetensors");
  EXPECT_TRUE(std::ranges::equal(file.tensors.at("a").bytes, kPattern.subspan(0, 8)));
  EXPECT_TRUE(std::ranges::equal(file.tensors.at("b").bytes, kPattern.subspan(8, 8)));
}

TEST(SafetensorsWriter, RefusesWhatWasNotAnnounced) {
  const TemporaryFolder folder;
  const auto path = folder / "a.safetensors";
  expect_refused(
      [&] {
        SafetensorsWriter(path, {{"a", Dtype::int8, {1}}, {"a", Dtype::int8, {1}}});
      },
      "\"a\" is announced twice");
  expect_refused(
      [&] {
        SafetensorsWriter(path, {{"__metadata__", Dtype::int8, {1}}});
      },
      "can't be called __metadata__");
  expect_refused([&] { SafetensorsWriter(path, {{"a", Dtype::int8, {-1}}}); }, "\"a\" can't have the shape [-1]");
  SafetensorsWriter writer(path, {{"a", Dtype::int8, {2}}, {"b", Dtype::int8, {1}}});
  expect_refused([&] { writer.put("c", kPattern.subspan(0, 1)); }, "\"c\" was not announced");
  expect_refused([&] { writer.put("a", kPattern.subspan(0, 1)); }, "\"a\" has 1 bytes, its shape says 2");
  writer.put("a", kPattern.subspan(0, 2));
  expect_refused([&] { writer.put("a", kPattern.subspan(0, 2)); }, "or is written twice");
  expect_refused([&] { writer.commit(); }, "\"b\" was announced, but not written");
}

}  // namespace
}  // namespace lithe::io

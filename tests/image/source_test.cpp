#include "image/source.h"

#include <gtest/gtest.h>

#include <span>

#include "base/error.h"
#include "image/support.h"

namespace lithe::image {
namespace {

using test::kData;

std::vector<std::byte> bytes_of(const std::filesystem::path& path) {
  const std::string text = test::read_text(path);
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST(Source, DecodesWhatItHolds) {
  const auto path = kData / "decode/jpeg_exif6.jpg";
  const Image expected = read_image(path);
  const Source file = Source::of_file(path), bytes = Source::of_bytes(bytes_of(path), "bytes"), pixels = expected;
  for (const Source& source : {file, bytes, pixels}) {
    EXPECT_EQ(*source.decode(), expected);
    EXPECT_EQ(source.header().size, expected.size());
    EXPECT_EQ(source.note(), std::nullopt);
  }
}

TEST(Source, HoldsLittleUntilItDecodes) {
  const auto path = kData / "decode/jpeg_420.jpg";
  const Source file = Source::of_file(path), bytes = Source::of_bytes(bytes_of(path), "bytes"), pixels = Image(20, 10);
  EXPECT_EQ(file.held_bytes(), 0);
  EXPECT_EQ(bytes.held_bytes(), static_cast<int64_t>(std::filesystem::file_size(path)));
  EXPECT_EQ(pixels.held_bytes(), 20 * 10 * 3);
  EXPECT_EQ(pixels.header().decoding_bytes, 0);
  EXPECT_EQ(pixels.decode(), pixels.decode()) << "pixels are shared, not copied";
}

TEST(Source, RefusesAtOnceWhatItsHeaderTells) {
  EXPECT_THROW(Source::of_file(kData / "there_is_none.png"), Error);
  EXPECT_THROW(Source::of_bytes({}, "bytes"), Error);
  EXPECT_THROW(Source::of_file(kData / "decode/png_c2_d8.png", {.max_pixels = 116}), Error);
  std::vector<std::byte> cut = bytes_of(kData / "decode/png_c2_d8.png");
  cut.resize(cut.size() - 30);
  const Source damaged = Source::of_bytes(std::move(cut), "bytes");
  EXPECT_THROW(damaged.decode(), Error);
}

TEST(Source, SaysWhenAPictureIsScaledDown) {
  const Source source = Source::of_file(kData / "decode/jpeg_420.jpg", {.max_pixels = 300});
  EXPECT_EQ(source.decode()->size(), source.header().size);
  ASSERT_TRUE(source.note());
  EXPECT_NE(source.note()->find("45 x 31"), std::string::npos) << *source.note();
  EXPECT_NE(source.note()->find("1/2"), std::string::npos) << *source.note();
}

}  // namespace
}  // namespace lithe::image

#include "image/decode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "image/png.h"
#include "image/support.h"

namespace lithe::image {
namespace {

using test::kData;

std::vector<std::filesystem::path> pictures() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(kData / "decode")) {
    if (entry.path().extension() != ".ppm") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::filesystem::path expected_of(const std::filesystem::path& picture, const char* suffix) {
  std::string name = picture.filename().string();
  std::replace(name.begin(), name.end(), '.', '_');
  return picture.parent_path() / (name + suffix);
}

TEST(Decode, EqualsPillowOnEveryKind) {
  ASSERT_GE(pictures().size(), 100u);
  for (const auto& path : pictures()) {
    const Image expected = test::read_ppm(expected_of(path, ".ppm"));
    EXPECT_EQ(test::difference(read_image(path), expected), "") << path.filename();
  }
}

TEST(Decode, EqualsTransformersOverWhite) {
  int different = 0;
  for (const auto& path : pictures()) {
    const auto white = expected_of(path, ".white.ppm");
    different += std::filesystem::exists(white);
    const Image expected = test::read_ppm(std::filesystem::exists(white) ? white : expected_of(path, ".ppm"));
    EXPECT_EQ(test::difference(read_image(path, {.alpha = Alpha::on_white}), expected), "") << path.filename();
  }
  EXPECT_GE(different, 12);
}

TEST(Decode, HeadersSayWhatWillCome) {
  for (const auto& path : pictures()) {
    const std::string bytes = test::read_text(path);
    const Header header = read_header(std::as_bytes(std::span(bytes)), "picture");
    EXPECT_EQ(header.size, read_image(path).size()) << path.filename();
    EXPECT_EQ(header.stored, read_image(path, {.apply_orientation = false}).size()) << path.filename();
    EXPECT_EQ(header.scale, 1) << path.filename();
    EXPECT_GE(header.decoding_bytes, 6 * header.size.width * header.size.height) << path.filename();
  }
}

/// 45 x 31 pixels: whole up to twice the bound, then scaled down until they are within that, refused at twelve times.
TEST(Decode, ScalesLargeJpegs) {
  for (const char* name : {"jpeg_420", "jpeg_grey", "jpeg_cmyk"}) {
    const auto path = kData / "decode" / (std::string(name) + ".jpg");
    EXPECT_EQ(read_image(path, {.max_pixels = 698}).size(), (Size{45, 31})) << name;
    for (const auto& [most, scale] : {std::pair{697, 2}, std::pair{184, 2}, std::pair{183, 4}}) {
      const Image expected = test::read_ppm(kData / "scaled" / concat(name, "_", scale, ".ppm"));
      EXPECT_EQ(test::difference(read_image(path, {.max_pixels = most}), expected), "") << name << " " << most;
    }
    EXPECT_THROW(read_image(path, {.max_pixels = 116}), Error) << name;
  }
  EXPECT_THROW(read_image(kData / "decode/jpeg_progressive.jpg", {.max_pixels = 697}), Error);
}

TEST(Decode, TakesPicturesOf108MegapixelsWhole) {
  // 12000 x 9000: the two numbers of jpeg_grey.jpg's frame are changed, and bytes are added, as a header needs both.
  std::string jpeg = test::read_text(kData / "decode/jpeg_grey.jpg");
  const std::size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  jpeg.replace(frame + 5, 4, std::string("\x23\x28\x2e\xe0", 4));
  jpeg.resize(300'000);
  const Header header = read_header(std::as_bytes(std::span(jpeg)), "picture");
  EXPECT_EQ(header.size, (Size{12000, 9000}));
  EXPECT_EQ(header.scale, 1);
  jpeg.replace(frame + 5, 4, std::string("\x4e\x20\x4e\x20", 4));  // 20000 x 20000: Pillow refuses them.
  jpeg.resize(1'000'000);
  const Header larger = read_header(std::as_bytes(std::span(jpeg)), "picture");
  EXPECT_EQ(larger.size, (Size{10000, 10000}));
  EXPECT_EQ(larger.scale, 2);
}

TEST(Decode, OrientationIsAnOption) {
  const auto path = kData / "decode/jpeg_exif6.jpg";
  EXPECT_EQ(read_image(path).size(), (Size{12, 19}));
  EXPECT_EQ(read_image(path, {.apply_orientation = false}).size(), (Size{19, 12}));
  EXPECT_EQ(read_image(kData / "decode/jpeg_turned_xmp.jpg").size(), (Size{12, 19}));
  EXPECT_EQ(read_image(kData / "decode/png_turned_raw_profile.png").size(), (Size{4, 7}));
  EXPECT_EQ(read_image(kData / "decode/jpeg_turned_byte_little.jpg").size(), (Size{19, 12}));
}

// Each of many small texts may inflate to the most that one may hold; from some number on they are not read.
TEST(Decode, TextsOfAPngTakeBoundedWork) {
  const std::string bombs = test::read_text(LITHE_SOURCE_DIR "/tests/fuzz/corpus/image/png_raw_profile_many");
  std::string turned = test::read_text(kData / "decode/png_turned_raw_profile.png");
  constexpr std::size_t kFirst = 33;  // after IHDR
  turned.insert(kFirst, bombs.substr(kFirst, bombs.find("IDAT") - 4 - kFirst));
  EXPECT_EQ(decode_image(std::as_bytes(std::span(turned)), "picture").size(), (Size{7, 4}));
}

std::string sentence_of(const std::string& bytes, const DecodeOptions& options = {}) {
  try {
    decode_image(std::as_bytes(std::span(bytes)), "picture", options);
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::bad_file);
    EXPECT_TRUE(std::string(error.what()).starts_with("picture: ")) << error.what();
    return error.what();
  }
  return "";
}

TEST(Decode, RefusesWhatIsNoPicture) {
  EXPECT_NE(sentence_of("").find("empty"), std::string::npos);
  EXPECT_NE(sentence_of("hello, this is text").find("known format"), std::string::npos);
  EXPECT_THROW(read_image(kData / "there_is_none.png"), Error);
}

TEST(Decode, RefusesTooManyPixelsBeforeAllocating) {
  for (const auto& path : pictures()) {
    if (path.filename() == "jpeg_one_pixel.jpg") continue;
    const std::string sentence = sentence_of(test::read_text(path), {.max_pixels = 3});
    EXPECT_NE(sentence.find("too large"), std::string::npos) << path.filename() << ": " << sentence;
  }
}

/// Every proper prefix of every picture is refused, but for those that lack only an end marker or trailing chunks.
TEST(Decode, RefusesTruncatedFiles) {
  for (const auto& path : pictures()) {
    const std::string whole = test::read_text(path);
    for (const double share : {0.05, 0.2, 0.5, 0.8}) {
      const std::string cut = whole.substr(0, static_cast<std::size_t>(static_cast<double>(whole.size()) * share));
      if (path.filename().string().starts_with("gif_animated") && share >= 0.5) continue;  // Its first frame is whole.
      if (path.filename() == "png_exif6.png" && share == 0.8) continue;
      if (path.filename().string().ends_with("_last.png") && share >= 0.5) continue;
      EXPECT_NE(sentence_of(cut), "") << path.filename() << " at " << share;
    }
  }
}

TEST(Decode, RefusesHeadersThatClaimMoreThanTheFileHolds) {
  std::string png = test::read_text(kData / "decode/png_c2_d8.png");
  const Image picture = decode_image(std::as_bytes(std::span(png)), "picture");
  EXPECT_EQ(picture.size(), (Size{13, 9}));
  std::string jpeg = test::read_text(kData / "decode/jpeg_420.jpg");
  const std::size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  jpeg[frame + 5] = jpeg[frame + 7] = 0x20;  // 8223 x 8237 pixels.
  EXPECT_NE(sentence_of(jpeg).find("truncated"), std::string::npos);
  std::string bmp = test::read_text(kData / "decode/bmp_24_0.bmp");
  bmp[19] = bmp[23] = 0x20;
  EXPECT_NE(sentence_of(bmp).find("truncated"), std::string::npos);
  std::string gif = test::read_text(kData / "decode/gif_plain.gif");
  const std::size_t left = gif.find(std::string("\x2c\0\0\0\0", 5));
  ASSERT_NE(left, std::string::npos);
  gif[left + 6] = gif[left + 8] = 0x20;
  EXPECT_NE(sentence_of(gif).find("truncated"), std::string::npos);
}

TEST(Decode, RefusesNoPixels) {
  std::string bmp = test::read_text(kData / "decode/bmp_24_0.bmp");
  bmp[18] = 0;
  EXPECT_NE(sentence_of(bmp).find("no pixels"), std::string::npos);
  std::string gif = test::read_text(kData / "decode/gif_plain.gif");
  gif[gif.find(std::string("\x2c\0\0\0\0", 5)) + 5] = 0;
  EXPECT_NE(sentence_of(gif).find("no pixels"), std::string::npos);
}

TEST(Png, RoundTrips) {
  const Image picture = test::noise(31, 17);
  EXPECT_EQ(decode_image(encode_png(picture), "png"), picture);
  EXPECT_THROW(encode_png(Image()), Error);
}

}  // namespace
}  // namespace lithe::image

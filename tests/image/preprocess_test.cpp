#include "image/preprocess.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "image/geometry.h"
#include "image/support.h"
#include "io/safetensors.h"

namespace lithe::image {
namespace {

using test::kGolden;

JsonView view(const Json& json) {
  return {json, "preprocessor_config.json"};
}

PreprocessConfig config_of(const std::filesystem::path& file, Dialect dialect) {
  const Json json = read_json_file(file);
  return PreprocessConfig::from_json(JsonView(json, file.string()), dialect);
}

PreprocessConfig original_config(const std::string& name) {
  PreprocessConfig config = config_of(kGolden / name / "vision_tower/preprocessor_config.json", Dialect::original);
  const Json json = read_json_file(kGolden / name / "checkpoint/config.json");
  config.take_model_config(JsonView(json, name));
  return config;
}

Image picture_of(const io::TensorView& tensor) {
  Image picture(tensor.shape.at(1), tensor.shape.at(0));
  const auto bytes = tensor.values<uint8_t>();
  std::copy(bytes.begin(), bytes.end(), picture.rgb.begin());
  return picture;
}

/// The golden's tolerance is 1e-5: a grey level is 0.0146.
void expect_close(const PixelValues& got, const io::TensorView& expected, const std::string& what) {
  const auto values = expected.values<float>();
  ASSERT_EQ(got.values.size(), values.size()) << what;
  ASSERT_EQ(got.tiles * got.channels * got.size.width * got.size.height, static_cast<int64_t>(values.size())) << what;
  float largest = 0;
  for (std::size_t i = 0; i < values.size(); ++i) largest = std::max(largest, std::abs(got.values[i] - values[i]));
  EXPECT_LE(largest, 1e-5f) << what;
}

class OriginalGolden : public testing::TestWithParam<const char*> {};

TEST_P(OriginalGolden, PixelValuesAreEqual) {
  const std::string name = GetParam();
  const auto expected = io::open_safetensors(kGolden / name / "expected.safetensors").tensors;
  const PreprocessConfig config = original_config(name);
  int compared = 0;
  for (int i = 0; std::filesystem::exists(kGolden / name / "inputs" / concat("image", i, ".png")); ++i) {
    const auto path = kGolden / name / "inputs" / concat("image", i, ".png");
    const Image picture = read_image(path, config.decode_options());
    const std::string image = concat("img", i);
    if (expected.contains(image + ".rgb")) {
      EXPECT_EQ(test::difference(picture, picture_of(expected.at(image + ".rgb"))), "") << path;
    }
    if (expected.contains(image + ".resized_padded_rgb")) {
      const Image canvas = make_views(picture, config).canvas;
      EXPECT_EQ(test::difference(canvas, picture_of(expected.at(image + ".resized_padded_rgb"))), "") << path;
      ++compared;
    }
    if (!expected.contains(image + ".pixel_values")) continue;
    expect_close(preprocess(picture, config), expected.at(image + ".pixel_values"), path.string());
    ++compared;
  }
  EXPECT_GE(compared, 2);
}

INSTANTIATE_TEST_SUITE_P(Preprocess, OriginalGolden,
                         testing::Values("pmod_llava15", "pmod_llavanext", "liuhaotian_llava15"));

class TransformersGolden : public testing::TestWithParam<const char*> {};

TEST_P(TransformersGolden, PixelValuesAreEqual) {
  const std::string name = GetParam();
  const auto expected = io::open_safetensors(kGolden / name / "expected.safetensors").tensors;
  const char* const files[] = {"photo.jpg", "alpha.png"};
  for (const char* const file : {"preprocessor_config.json", "processor_config.json"}) {
    const PreprocessConfig config = config_of(kGolden / name / "checkpoint" / file, Dialect::transformers);
    for (int i = 0; i < 2; ++i) {
      const Image picture = read_image(kGolden / name / "inputs" / files[i], config.decode_options());
      EXPECT_EQ(test::difference(picture, picture_of(expected.at(concat("img", i, ".rgb")))), "") << files[i];
      expect_close(preprocess(picture, config), expected.at(concat("s", i, ".pixel_values")), files[i]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Preprocess, TransformersGolden, testing::Values("hf_llava15", "hf_llavanext"));

TEST(Preprocess, DroppedAlphaEqualsTransformers4) {
  const auto expected = io::open_safetensors(kGolden / "hf_llava15/expected.safetensors").tensors;
  const PreprocessConfig config =
      config_of(kGolden / "hf_llava15/checkpoint/preprocessor_config.json", Dialect::transformers);
  const Image picture = read_image(kGolden / "hf_llava15/inputs/alpha.png", {.alpha = Alpha::drop});
  expect_close(preprocess(picture, config), expected.at("s1.pixel_values_alpha_dropped"), "alpha.png");
}

TEST(Preprocess, CountsTilesAndRemembersTheGeometry) {
  const PreprocessConfig config = original_config("pmod_llavanext");
  const Views views = make_views(test::noise(150, 71), config);
  EXPECT_EQ(views.grid, (Size{3, 1}));
  EXPECT_EQ(views.content, (Rect{24, 0, 119, 56}));
  EXPECT_EQ(views.canvas.size(), (Size{168, 56}));
  EXPECT_EQ(views.tiles.at(2), crop(views.canvas, {56, 0, 56, 56}));
  const PixelValues values = normalise(views, config);
  EXPECT_EQ(values.tiles, 4);
  EXPECT_EQ(values.size, (Size{56, 56}));
  EXPECT_EQ(values.grid_w, 3);
  EXPECT_EQ(values.grid_h, 1);
  EXPECT_EQ(values.original_width, 150);
  EXPECT_EQ(values.original_height, 71);
}

Json plain_file() {
  return Json::parse(R"({"image_processor_type": "LlavaImageProcessor", "size": {"shortest_edge": 8}, "crop_size": 8,
    "image_mean": [0.5, 0.25, 0.0], "image_std": [0.5, 0.5, 0.5], "rescale_factor": 0.00392156862745098})");
}

TEST(Preprocess, LlavaImageProcessorPadsWhereItsFileSaysSo) {
  Json file = plain_file();
  EXPECT_EQ(PreprocessConfig::from_json(view(file), Dialect::transformers).aspect, Aspect::centre_crop);
  file["do_pad"] = true;
  const PreprocessConfig config = PreprocessConfig::from_json(view(file), Dialect::transformers);
  ASSERT_EQ(config.aspect, Aspect::pad);
  const Image tile = make_views(Image(16, 4, 200, 200, 200), config).tiles.at(0);
  EXPECT_EQ(crop(tile, {0, 0, 8, 1}), Image(8, 1, 127, 63, 0));  // int(mean * 255)
}

TEST(Preprocess, SquashesToAnExactSize) {
  Json file = plain_file();
  file["size"] = {{"height", 8}, {"width", 8}};
  const PreprocessConfig config = PreprocessConfig::from_json(view(file), Dialect::transformers);
  EXPECT_EQ(config.aspect, Aspect::squash);
  const Image picture = test::noise(30, 11);
  EXPECT_EQ(make_views(picture, config).tiles.at(0), resize(picture, {8, 8}, Resample::bicubic));
}

TEST(Preprocess, NormalisesByTheFile) {
  Json file = plain_file();
  const Image picture(8, 8, 255, 128, 0);
  const PixelValues values = preprocess(picture, PreprocessConfig::from_json(view(file), Dialect::transformers));
  EXPECT_FLOAT_EQ(values.values[0], 1.0f);
  EXPECT_FLOAT_EQ(values.values[64], (128 / 255.0f - 0.25f) / 0.5f);
  EXPECT_FLOAT_EQ(values.values[128], 0.0f);
  file["do_normalize"] = file["do_rescale"] = false;
  EXPECT_FLOAT_EQ(preprocess(picture, PreprocessConfig::from_json(view(file), Dialect::transformers)).values[64], 128);
}

TEST(Preprocess, CropsAnExtremeShapeWithoutTheWholeResize) {
  const PreprocessConfig config = PreprocessConfig::from_json(view(plain_file()), Dialect::transformers);
  EXPECT_EQ(make_views(Image(1, 100000, 9, 9, 9), config).tiles.at(0), Image(8, 8, 9, 9, 9));
  EXPECT_THROW(make_views(Image(1, 2000000), config), Error);
  EXPECT_THROW(make_views(Image(), config), Error);
}

TEST(Preprocess, ReadsPinpointsOfEitherOrder) {
  Json file = plain_file();
  file["image_grid_pinpoints"] = "[[8, 16], [24, 8]]";
  EXPECT_EQ(PreprocessConfig::from_json(view(file), Dialect::original).pinpoints,
            (std::vector<Size>{{8, 16}, {24, 8}}));
  const PreprocessConfig config = PreprocessConfig::from_json(view(file), Dialect::transformers);
  EXPECT_EQ(config.pinpoints, (std::vector<Size>{{16, 8}, {8, 24}}));
  EXPECT_EQ(config.aspect, Aspect::anyres);
  // Tuples of Python, with brackets around them or without.
  for (const char* literal : {"((8, 16), (24, 8))", "(8, 16), (24, 8)", "[(8, 16), (24, 8),]", "(8, 16), (24, 8),"}) {
    file["image_grid_pinpoints"] = literal;
    EXPECT_EQ(PreprocessConfig::from_json(view(file), Dialect::original).pinpoints,
              (std::vector<Size>{{8, 16}, {24, 8}}))
        << literal;
  }
}

/// Each pair: a key and a value that the file may not have.
TEST(Preprocess, RefusesBrokenFiles) {
  const std::vector<std::pair<const char*, const char*>> faults = {{"size", "0"},
                                                                   {"size", "-3"},
                                                                   {"size", "1000000000000"},
                                                                   {"size", "null"},
                                                                   {"size", "{}"},
                                                                   {"size", "\"x\""},
                                                                   {"crop_size", "{\"height\": 0, \"width\": 9}"},
                                                                   {"crop_size", "null"},
                                                                   {"image_mean", "[1, 2]"},
                                                                   {"image_mean", "[1, 2, \"x\"]"},
                                                                   {"image_mean", "null"},
                                                                   {"image_std", "[1, 0, 1]"},
                                                                   {"resample", "17"},
                                                                   {"resample", "\"cubic\""},
                                                                   {"image_grid_pinpoints", "[]"},
                                                                   {"image_grid_pinpoints", "[[1]]"},
                                                                   {"image_grid_pinpoints", "[[0, 8]]"},
                                                                   {"image_grid_pinpoints", "\"(2x2),(1x1)\""},
                                                                   {"image_grid_pinpoints", "\"None\""},
                                                                   {"do_resize", "3"},
                                                                   {"rescale_factor", "\"a\""},
                                                                   {"image_processor", "[]"}};
  for (const auto& [key, value] : faults) {
    Json file = plain_file();
    file[key] = Json::parse(value);
    EXPECT_THROW(PreprocessConfig::from_json(view(file), Dialect::transformers), Error) << key << ": " << value;
  }
  PreprocessConfig config = PreprocessConfig::from_json(view(plain_file()), Dialect::original);
  const Json model = Json::parse(R"({"image_aspect_ratio": "anyres_max_9"})");
  EXPECT_THROW(config.take_model_config(view(model)), Error);
}

TEST(Preprocess, RefusesPinpointsThatDoNotFit) {
  Json file = plain_file();
  file["image_grid_pinpoints"] = Json::parse("[[12, 16]]");
  EXPECT_THROW(preprocess(test::noise(9, 9), PreprocessConfig::from_json(view(file), Dialect::transformers)), Error);
  file["image_grid_pinpoints"] = Json::parse("[[16384, 16384]]");
  EXPECT_THROW(preprocess(test::noise(9, 9), PreprocessConfig::from_json(view(file), Dialect::transformers)), Error);
}

}  // namespace
}  // namespace lithe::image

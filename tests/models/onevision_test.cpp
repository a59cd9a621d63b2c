#include <ATen/ops/conv2d.h>
#include <ATen/ops/randn.h>

#include "checkpoints/read/catalogue.h"
#include "checkpoints/write/converting.h"
#include "models/parts/vision_tower.h"
#include "support.h"

namespace lithe::models {
namespace {

fs::path onevision() {
  return golden_folder("llava_onevision") / "checkpoint";
}

/// A picture with a different colour everywhere.
image::Image gradient(int64_t width, int64_t height) {
  image::Image picture(width, height);
  for (size_t i = 0; i < picture.rgb.size(); ++i) picture.rgb[i] = static_cast<uint8_t>(i * 7 + i / 251);
  return picture;
}

TEST(OneVision, TilesOfAPictureAloneAndOneTileOfEachAmongSeveral) {
  const auto model = open_model(onevision());
  const image::Image picture = gradient(91, 140);
  const ImageRows alone = model->encode_image(picture), among = model->encode_image(picture, {.pictures = 2});
  EXPECT_GT(alone.pixels.size(0), 1);
  EXPECT_EQ(among.pixels.size(0), 1);
  EXPECT_EQ(among.rows.size(0), 16 + 1);
  EXPECT_TRUE(close(among.rows.narrow(0, 16, 1), *model->vision->newline, 0, 0));
  EXPECT_TRUE(model->vision->prepares_alike(2, 3));
  EXPECT_FALSE(model->vision->prepares_alike(1, 2));
}

TEST(OneVision, AMapOfManyTilesIsScaledDown) {
  const auto model = open_model(onevision());
  // 36 tiles of 16 patches: a side of 24 patches is twice as long as 9 tiles' worth allows.
  const ImageRows rows = model->encode_image(gradient(180, 180));
  EXPECT_EQ(rows.pixels.size(0), 37);
  EXPECT_EQ(rows.rows.size(0), 16 + 12 * (12 + 1));
  // 20 // (5 / 3) is 11 in Python, since the float nearest to 5 / 3 is more than that.
  EXPECT_EQ(model->encode_image(gradient(150, 150)).rows.size(0), 16 + 11 * (11 + 1));
  EXPECT_EQ(model->facts.tower->max_tiles, 37);
  EXPECT_EQ(model->facts.tower->kept_tiles, 10);
}

// What a batch admits a picture by.
TEST(OneVision, TheSizeOfAPictureTellsItsTilesAndBoundsItsRows) {
  const auto model = open_model(onevision());
  for (const image::Size size : std::vector<image::Size>{
           {30, 30}, {180, 180}, {150, 150}, {91, 140}, {140, 91}, {3, 200}, {200, 3}, {500, 20}, {71, 40}}) {
    for (const int64_t pictures : {1, 2}) {
      const ImageRows made = model->encode_image(gradient(size.width, size.height), {.pictures = pictures});
      const int64_t tiles = model->vision->tiles(size, pictures);
      EXPECT_EQ(tiles, made.pixels.size(0)) << size.width << " x " << size.height;
      EXPECT_GE(model->vision->most_rows(tiles), made.rows.size(0)) << size.width << " x " << size.height;
    }
  }
  // 9 tiles' worth and a tenth of the side more, the whole picture, and newlines; not 37 tiles.
  EXPECT_LT(model->vision->most_rows(37), 37 * 16);
}

TEST(PackedRows, FollowFromTheSizeOfAPicture) {
  for (const char* name : {"llava_onevision", "hf_llava15", "hf_llavanext", "pmod_llavanext", "liuhaotian_llava15"}) {
    const auto model = open_model(golden_folder(name) / "checkpoint");
    for (const image::Size size : std::vector<image::Size>{
             {30, 30}, {180, 180}, {150, 150}, {91, 140}, {140, 91}, {6, 200}, {200, 6}, {500, 20}, {71, 40}}) {
      for (const int64_t pictures : {1, 2}) {
        const ImageRows made = model->encode_image(gradient(size.width, size.height), {.pictures = pictures});
        EXPECT_EQ(model->vision->rows(size, pictures), made.rows.size(0))
            << name << ' ' << size.width << " x " << size.height << " of " << pictures;
      }
    }
  }
}

TEST(OneVision, ConvertsToItsOwnLayoutOnly) {
  const TempFolder temp;
  const std::string refused =
      refusal([&] { convert_folder(onevision(), temp.path / "original", TargetLayout::original); });
  EXPECT_NE(refused.find("has no form for llava_onevision"), std::string::npos) << refused;
  EXPECT_FALSE(fs::exists(temp.path / "original"));
  convert_folder(onevision(), temp.path / "again", TargetLayout::same);
  const auto model = open_model(onevision()), again = open_model(temp.path / "again");
  const image::Image picture = gradient(50, 130);
  EXPECT_TRUE(close(again->encode_image(picture).rows, model->encode_image(picture).rows, 0, 0));
}

TEST(OneVision, AStrategyWithoutAClassTokenIsRefused) {
  const TempFolder temp;
  fs::copy(onevision(), temp.path / "model", fs::copy_options::recursive);
  edit_json(temp.path / "model/config.json", [](Json& json) { json["vision_feature_select_strategy"] = "default"; });
  EXPECT_NE(refusal([&] { open_model(temp.path / "model"); }).find("but the tower has none"), std::string::npos);
}

// transformers reads a number there, or fails.
TEST(OneVision, AnAspectWithoutANumberOfTilesIsRefused) {
  for (const char* aspect : {"square", "anyres", "anyres_max_", "anyres_max_0"}) {
    const TempFolder temp;
    fs::copy(onevision(), temp.path / "model", fs::copy_options::recursive);
    edit_json(temp.path / "model/config.json", [&](Json& json) { json["vision_aspect_ratio"] = aspect; });
    const std::string said = refusal([&] { open_model(temp.path / "model"); });
    EXPECT_NE(said.find("'vision_aspect_ratio' is"), std::string::npos) << aspect << said;
  }
}

TEST(OneVision, KeysThatAreLeftOutTakeTheDefaultsOfTransformers) {
  const TempFolder temp;
  fs::copy(onevision(), temp.path / "model", fs::copy_options::recursive);
  edit_json(temp.path / "model/config.json", [](Json& json) {
    for (const char* key : {"vision_feature_layer", "vision_feature_select_strategy", "vision_aspect_ratio"})
      json.erase(key);
    json["text_config"].erase("model_type");
  });
  edit_json(temp.path / "model/preprocessor_config.json", [](Json& json) {
    for (const char* key : {"image_grid_pinpoints", "resample", "do_resize", "do_pad"}) json.erase(key);
    json["crop_size"] = nullptr;
    json["do_center_crop"] = nullptr;
  });
  const auto model = open_model(onevision()), sparse = open_model(temp.path / "model");
  const image::Image picture = gradient(180, 120);
  EXPECT_TRUE(close(sparse->encode_image(picture).rows, model->encode_image(picture).rows, 0, 0));
}

TEST(VisionTower, TakesRectanglesWithoutClassTokenAndNorm) {
  VisionTowerConfig config{.width = 6, .mlp = 4, .heads = 2, .image = {50, 33}, .patch_px = 16};
  config.class_token = config.pre_norm = false;
  config.patch_bias = true;
  VisionTower tower = shaped_tower(config);
  visit(tower, [](const WeightSlot& slot) { put(slot.place, at::randn(slot.shape, at::TensorOptions(at::kFloat))); });
  const Tensor pixels = at::randn({2, 3, 33, 50}, at::TensorOptions(at::kFloat));
  const Tensor features = tower.features(pixels);
  const Tensor expected = at::conv2d(pixels, tower.patches.weight.widened(at::kFloat).view({config.width, 3, 16, 16}),
                                     *tower.patches.bias, {16, 16})
                              .flatten(2)
                              .transpose(1, 2);
  EXPECT_EQ(features.sizes(), (std::vector<int64_t>{2, 6, 6}));
  EXPECT_TRUE(close(features, expected + tower.positions, 1e-3, 1e-5));
  EXPECT_NE(refusal([&] { tower.features(pixels.transpose(2, 3)); }).find("takes tiles of 50 x 33"), std::string::npos);
}

}  // namespace
}  // namespace lithe::models

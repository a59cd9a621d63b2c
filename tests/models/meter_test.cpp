#include "models/meter/meter.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>

#include <limits>
#include <list>
#include <map>

#include "checkpoints/read/catalogue.h"
#include "checkpoints/read/meter.h"
#include "checkpoints/write/converting.h"
#include "checkpoints/write/weight_file.h"
#include "io/checkpoint.h"
#include "models/support.h"
#include "plan/meter_sites.h"
#include "temporary_folder.h"

namespace lithe::models {
namespace {

/// The golden models are narrower than 64 a head.
const Json kHeads{{"num_heads", 2}, {"text_num_heads", 2}, {"vit_num_heads", 2}};

Json settings(Json more = Json::object()) {
  more.update(kHeads);
  return more;
}

fs::path golden_file(const std::string& name) {
  return golden_folder(name) / "checkpoint" / (name + ".safetensors");
}

class MeterTest : public ::testing::TestWithParam<const char*> {
 protected:
  /// Without padding, as a model that was tuned here.
  MeterTest() : meter_(open_meter(golden_file(GetParam()), {}, settings({{"pia_mean", "prompt"}}))) {}

  Tensor pixels(int64_t count) const {
    const int64_t side = meter_->tower.config.image.width;
    return at::randn({count, 3, side, side});
  }

  const at::NoGradGuard no_gradient_;
  std::unique_ptr<Meter> meter_;
  const std::vector<TextIds> texts_{
      {{0, 33, 12, 44, 18, 28, 74, 25, 48, 2}}, {{0, 19, 9, 2}}, {{0, 35, 19, 89, 43, 2}}};
};

std::vector<Pair> in_order(size_t count) {
  std::vector<Pair> pairs;
  for (size_t i = 0; i < count; ++i) pairs.push_back({i, i});
  return pairs;
}

TEST_P(MeterTest, ABatchOfDifferentLengthsEqualsEachAlone) {
  const plan::Plan some_off =
      plan::without_meter_sites({1, 8, 12, 20}, meter_->streams.config.layers, plan::MeterFlags::right);
  const Tensor images = pixels(3);
  for (const plan::Plan* plan : {static_cast<const plan::Plan*>(nullptr), &some_off}) {
    const FusedRows together = meter_->fuse(meter_->read(texts_), meter_->look(images), in_order(3), plan);
    for (size_t i = 0; i < texts_.size(); ++i) {
      const auto row = static_cast<int64_t>(i);
      const FusedRows alone =
          meter_->fuse(meter_->read({&texts_[i], 1}), meter_->look(images.narrow(0, row, 1)), in_order(1), plan);
      EXPECT_TRUE(close(together.pooled.narrow(0, row, 1), alone.pooled, 1e-5, 1e-5));
    }
  }
}

TEST_P(MeterTest, PairsShareTheFeaturesOfTextsAndPictures) {
  const Tensor images = pixels(2);
  const TextRows read = meter_->read(texts_);
  const Tensor seen = meter_->look(images);
  const std::vector<Pair> pairs{{2, 0}, {0, 1}, {2, 1}, {1, 0, 2}};
  const Tensor pooled = meter_->fuse(read, seen, pairs).pooled;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Pair alone{0, 0, pairs[i].image_type};
    const Tensor picture = images.narrow(0, static_cast<int64_t>(pairs[i].image), 1);
    const Tensor one =
        meter_->fuse(meter_->read({&texts_[pairs[i].text], 1}), meter_->look(picture), {&alone, 1}).pooled;
    EXPECT_TRUE(close(pooled.narrow(0, static_cast<int64_t>(i), 1), one, 1e-5, 1e-5));
  }
}

TEST_P(MeterTest, ThePoolersNeedOnlyTheFirstRowsOfTheLastLayer) {
  const Tensor images = pixels(3);
  std::vector<TextIds> padded = texts_;
  for (TextIds& text : padded) {
    text.padding = 12 - static_cast<int64_t>(text.ids.size());
    text.ids.resize(12, 1);
  }
  const auto last = [](std::vector<int64_t> off) { return plan::without_meter_sites(off, 6, plan::MeterFlags::right); };
  for (const plan::Plan& plan : {last({}), last({5}), last({11}), last({17, 23}), last({2, 5, 11, 17, 23})}) {
    for (const std::vector<TextIds>& texts : {texts_, padded}) {
      const TextRows read = meter_->read(texts);
      const Tensor seen = meter_->look(images);
      const plan::Plan poolers = meter_->streams.for_poolers(plan);
      EXPECT_TRUE(close(meter_->fuse(read, seen, in_order(3), &poolers).pooled,
                        meter_->fuse(read, seen, in_order(3), &plan).pooled, 1e-5, 1e-5));
    }
  }
}

TEST_P(MeterTest, AConvertedCheckpointIsTheSameModel) {
  const test::TemporaryFolder temp;
  const fs::path source = temp.path() / "source.ckpt";
  fs::copy_file(golden_folder(GetParam()) / "checkpoint" / (std::string(GetParam()) + ".ckpt"), source);
  const Converted done = convert_folder(source, temp.path() / "converted", TargetLayout::same);
  EXPECT_EQ(done.tensors, static_cast<int64_t>(io::Checkpoint::open(source).names().size()));
  ASSERT_TRUE(is_meter(temp.path() / "converted"));
  const auto before = open_meter(source, {}, kHeads), after = open_meter(temp.path() / "converted", {}, kHeads);
  EXPECT_EQ(after->config.max_text, before->config.max_text);
  EXPECT_EQ(after->config.pads, before->config.pads);
  const Tensor images = pixels(3);
  const auto pooled = [&](const Meter& meter) {
    return meter.fuse(meter.read(texts_), meter.look(images), in_order(3)).pooled;
  };
  EXPECT_TRUE(pooled(*before).equal(pooled(*after)));
}

INSTANTIATE_TEST_SUITE_P(Golden, MeterTest, ::testing::Values("meter", "meter_eas"));

TEST(MeterReader, ReadsWhatAPublishedSearchFoundByThePublishedFlags) {
  const test::TemporaryFolder temp;
  const io::Checkpoint checkpoint = io::Checkpoint::open(golden_file("meter_eas"));
  std::vector<float> scores(24, 0.0F);
  scores[3] = 2, scores[7] = 1, scores[20] = 3;
  const io::TensorView gate = io::tensor_of<float>({24}, scores), count = io::tensor_of<float>({1}, std::vector{3.0F});
  WeightFile file;
  for (const std::string& name : checkpoint.names()) file.copy(name, checkpoint.at(name));
  file.copy("nas_gate", gate);
  file.copy("skip_num", count);
  file.write(temp.path() / "searched.safetensors");
  const auto meter = open_meter(temp.path() / "searched.safetensors", {}, kHeads);
  // 20 is the image's cross-attention in layer 2; the published code turns off the self-attention there.
  EXPECT_EQ(plan::meter_sites_off(meter->plan, 6), (std::vector<int64_t>{3, 7, 14}));
  const auto listed =
      open_meter(golden_file("meter_eas"), {}, settings({{"eas", {{"skip", {20, 3, 7}}, {"flags", "right"}}}}));
  EXPECT_EQ(plan::meter_sites_off(listed->plan, 6), (std::vector<int64_t>{3, 7, 20}));
}

TEST(MeterReader, SaysThatNoAttentionIsSkippedIfNothingNamesOne) {
  const auto silent = open_meter(golden_file("meter_eas"), {}, settings({{"max_text_len", 8}}));
  if (silent->plan.layers.empty()) {
    ASSERT_EQ(silent->notes.size(), 1U);
    EXPECT_NE(silent->notes.front().find("so none is skipped"), std::string::npos) << silent->notes.front();
  }
  const auto named = open_meter(golden_file("meter_eas"), {}, settings({{"eas", {{"skip", {20, 3, 7}}}}}));
  EXPECT_TRUE(named->notes.empty());
  EXPECT_TRUE(open_meter(golden_file("meter"))->notes.empty());
}

TEST(MeterReader, PublishedAdaptersSeePaddingAndOthersDoNot) {
  const auto published = open_meter(golden_file("meter_eas"), {}, settings({{"max_text_len", 8}}));
  const TextIds padded = published->fitted({0, 5, 2});
  EXPECT_EQ(padded.ids, (std::vector<int64_t>{0, 5, 2, 1, 1, 1, 1, 1}));
  EXPECT_EQ(padded.padding, 5);
  const auto plain = open_meter(golden_file("meter"), {}, settings({{"max_text_len", 4}}));
  EXPECT_EQ(plain->fitted({0, 5, 2}).ids, (std::vector<int64_t>{0, 5, 2}));
  EXPECT_EQ(plain->fitted({0, 5, 6, 7, 8, 2}).ids, (std::vector<int64_t>{0, 5, 6, 2})) << "the mark of the end stays";
}

TEST(MeterReader, SaysWhatDoesNotFit) {
  const auto message = [](const std::function<void()>& work) -> std::string {
    try {
      work();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_NE(message([] {
              open_meter(golden_file("meter"), {}, {{"num_heads", 3}});
            }).find("does not divide"),
            std::string::npos);
  EXPECT_NE(
      message([] { open_meter(golden_folder("pia") / "meter/checkpoint/adapters.safetensors"); }).find("has no tensor"),
      std::string::npos);
  EXPECT_NE(message([] {
              open_meter(golden_file("meter_eas"), {}, settings({{"eas", {{"skip", {24}}}}}));
            }).find("attention 24 of METER does not exist"),
            std::string::npos);
  for (const double scale : {0.0, -1.0, 1e9})
    EXPECT_NE(message([&] {
                open_meter(golden_file("meter_eas"), {}, settings({{"eas", {{"scale", scale}}}}));
              }).find("'scale' is "),
              std::string::npos)
        << scale;
  EXPECT_NE(message([] { open_model(golden_folder("meter") / "checkpoint/meter.ckpt"); }).find("is a METER model"),
            std::string::npos);
}

/// The golden METER with some of its tensors changed or taken out.
class ChangedMeter : public ::testing::Test {
 protected:
  ChangedMeter() {
    for (const std::string& name : golden_.names()) tensors_[name] = golden_.at(name);
  }

  void put(const std::string& name, std::vector<int64_t> shape, float value = 0) {
    size_t count = 1;
    for (const int64_t size : shape) count *= static_cast<size_t>(size);
    held_.emplace_back(count, value);
    tensors_[name] = io::tensor_of<float>(std::move(shape), held_.back());
  }

  std::string why() {
    WeightFile file;
    for (const auto& [name, view] : tensors_) file.copy(name, view);
    file.write(temp_.path() / "changed.safetensors");
    return refusal([&] { open_meter(temp_.path() / "changed.safetensors", {}, kHeads); });
  }

  const test::TemporaryFolder temp_;
  const io::Checkpoint golden_ = io::Checkpoint::open(golden_file("meter"));
  std::map<std::string, io::TensorView> tensors_;
  std::list<std::vector<float>> held_;
};

TEST_F(ChangedMeter, AGapInTheTowerIsNamed) {
  tensors_.erase("vit_model.visual.transformer.resblocks.0.mlp.c_fc.weight");
  EXPECT_NE(why().find("resblocks.0.mlp.c_fc.weight"), std::string::npos) << why();
  tensors_ = {};
  for (const std::string& name : golden_.names()) tensors_[name] = golden_.at(name);
  tensors_.erase("vit_model.visual.transformer.resblocks.1.mlp.c_fc.weight");
  EXPECT_NE(why().find("missing 1: vit_model.visual.transformer.resblocks.1.mlp.c_fc.weight"), std::string::npos)
      << why();
}

TEST_F(ChangedMeter, WhatTheTowerDoesNotKnowIsNamedAndClipsTextPartIsNot) {
  put("vit_model.text_projection", {4, 4});
  put("vit_model.visual.proj", {4, 4});
  EXPECT_EQ(why(), "");
  put("vit_model.visual.adapter.weight", {4, 4});
  EXPECT_NE(why().find("unexpected 1: vit_model.visual.adapter.weight"), std::string::npos) << why();
}

TEST_F(ChangedMeter, HeadsOfAnotherNumberOfClassesAreRefused) {
  const int64_t width = golden_.at("snli_classifier.3.weight").shape[1];
  put("snli_classifier.3.weight", {2, width});
  put("snli_classifier.3.bias", {2});
  EXPECT_NE(why().find("has 2 classes, expected the 3 of its task"), std::string::npos) << why();
}

TEST_F(ChangedMeter, PicturesHaveThreeChannels) {
  std::vector<int64_t> shape = golden_.at("vit_model.visual.conv1.weight").shape;
  shape[1] = 4;
  put("vit_model.visual.conv1.weight", shape);
  EXPECT_NE(why().find("reads 4 channels"), std::string::npos) << why();
}

TEST_F(ChangedMeter, ASearchThatDoesNotFitIsRefused) {
  put("nas_gate", {12});
  put("skip_num", {1}, 3);
  EXPECT_NE(why().find("'nas_gate' has 12 scores"), std::string::npos) << why();
  put("nas_gate", {24});
  EXPECT_EQ(why(), "");
  for (const float count : {-3.0F, 25.0F, std::numeric_limits<float>::quiet_NaN()}) {
    put("skip_num", {1}, count);
    EXPECT_NE(why().find("expected a number from 0 to 24"), std::string::npos) << why();
  }
  put("skip_num", {2}, 3);
  EXPECT_NE(why().find("'skip_num' has 2 values"), std::string::npos) << why();
}

}  // namespace
}  // namespace lithe::models

#include "tune/sample.h"

#include <algorithm>

#include "base/error.h"
#include "text/labels.h"
#include "tune/support.h"

namespace lithe::tune {
namespace {

using test::golden;

data::Record record(std::vector<data::Turn> turns) {
  return {.name = "set.json, record 1", .turns = std::move(turns), .images = {}};
}

/// The text that is learnt.
std::string learnt_text(const models::Model& model, const Sample& sample) {
  std::vector<int64_t> ids;
  for (const int64_t label : sample.labels)
    if (label != text::kIgnored) ids.push_back(label);
  return model.prompting.tokenizer->decode(ids, false);
}

TEST(Sample, AChatTemplateLearnsItsAnswersAndAnEnd) {
  const auto model = models::open_model(golden("hf_llava15") / "checkpoint");
  ASSERT_TRUE(model->prompting.chat_template);
  const Sample sample = make_sample(
      *model, record({{"user", "one?"}, {"assistant", "first"}, {"user", "two?"}, {"assistant", "second"}}), {});
  const std::string learnt = learnt_text(*model, sample);
  EXPECT_NE(learnt.find("first"), std::string::npos) << learnt;
  EXPECT_NE(learnt.find("second"), std::string::npos) << learnt;
  EXPECT_EQ(learnt.find("one?"), std::string::npos) << learnt;
  EXPECT_EQ(learnt.find("two?"), std::string::npos) << learnt;
  EXPECT_TRUE(model->prompting.ends(sample.labels.back())) << learnt;
}

/// LLaVA's own conversations put one mark in front of a message, whatever marks it has.
TEST(Sample, NoPictureIsLeftOutInSilence) {
  const auto model = models::open_model(golden("liuhaotian_llava15") / "checkpoint");
  data::Record two = record({{"user", "<image> or <image>?"}, {"assistant", "first"}});
  for (const char* const name : {"image0.png", "image1.png"})
    two.images.push_back(image::Source::of_file(golden("pmod_train") / "inputs" / name));
  try {
    make_sample(*model, two, {.conversation = "vicuna_v1"});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("1 image mark for 2 pictures"), std::string::npos) << error.what();
  }
}

TEST(Sample, RefusesWhatHasNoAnswer) {
  const auto model = models::open_model(golden("liuhaotian_llava15") / "checkpoint");
  for (const auto& turns : {std::vector<data::Turn>{{"user", "one?"}}, std::vector<data::Turn>{}}) {
    try {
      make_sample(*model, record(turns), {.conversation = "vicuna_v1"});
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with("set.json, record 1: ")) << error.what();
    }
  }
}

}  // namespace
}  // namespace lithe::tune

// What a request becomes before anything runs: which plan encodes its pictures, and what is refused unmade.
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <new>

#include "allocation_meter.h"
#include "base/clock.h"
#include "image/decode.h"
#include "io/safetensors.h"
#include "models/model.h"
#include "plan/parse.h"
#include "session/answering.h"
#include "session/batch_memory.h"
#include "session/batch_support.h"
#include "session/errors.h"
#include "session/memory.h"
#include "session/prompt_rows.h"
#include "session/trace.h"

namespace lithe::session {
namespace {

namespace fs = std::filesystem;

image::Image picture() {
  return image::read_image(kPicture, demo().decode_options());
}

TEST(Prompt, PicturesAreEncodedUnderTheRequestsPlan) {
  const c10::InferenceMode no_gradients;
  Request request = ask("is there a circle?");
  const PromptRows own = build_prompt(demo().model(), request);
  request.plan = plan::parse_plan(parse_json(R"({"method": "eas", "stream": "vision_tower", "layers": [1]})", "test"),
                                  "test", demo().facts());
  const PromptRows skipped = build_prompt(demo().model(), request);
  const models::ImageRows expected = demo().model().encode_image(picture(), {.plan = &*request.plan});
  EXPECT_TRUE(at::equal(skipped.images.at(0).features, expected.features));
  EXPECT_TRUE(at::equal(skipped.images.at(0).rows, expected.rows));
  EXPECT_FALSE(at::equal(skipped.images.at(0).features, own.images.at(0).features));
  EXPECT_FALSE(at::equal(skipped.embeddings, own.embeddings));

  const fs::path file = fs::temp_directory_path() / concat("lithe_prompt_", ::getpid(), ".safetensors");
  write_trace(demo(), request, {.max_tokens = 0}, file);
  const io::SafetensorsFile trace = io::open_safetensors(file);
  fs::remove(file);
  const auto traced = trace.tensors.at("images.0.vision_features").values<float>();
  EXPECT_TRUE(std::equal(traced.begin(), traced.end(), expected.features.const_data_ptr<float>()));
}

/// What a refusal says, and the most bytes that LibTorch handed out on the way to it.
struct Refusal {
  std::string sentence;
  int64_t peak_bytes = 0;
};

Refusal refusal(const Request& request) {
  const auto meter = std::make_shared<test::AllocationMeter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
  try {
    demo().answer(request);
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::bad_request);
    return {error.what(), meter->peak()};
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

TEST(Prompt, TextPastTheContextIsRefusedBeforeItIsEmbedded) {
  std::string text;
  while (text.size() < (size_t{1} << 20)) text += "blue shape ";
  const Stopwatch clock;
  const Refusal refused = refusal(ask(text, 0));
  EXPECT_NE(refused.sentence.find("and the model takes 2048 with the answer"), std::string::npos) << refused.sentence;
  EXPECT_EQ(refused.peak_bytes, 0);
  EXPECT_LT(clock.elapsed_ms(), 10e3);
}

TEST(Prompt, PicturesPastTheContextAreRefusedBeforeTheyAreEncoded) {
  const Refusal refused = refusal(ask("what is it?", 32));  // of 64 rows each
  EXPECT_NE(refused.sentence.find("use fewer pictures"), std::string::npos) << refused.sentence;
  EXPECT_EQ(refused.peak_bytes, 0);
  EXPECT_NO_THROW(demo().check_pictures(31));
  EXPECT_THROW(demo().check_pictures(32), PromptTooLong);
}

TEST(Prompt, EncodingStopsAtThePictureThatDoesNotFit) {
  const Session tiles = Session::open(LITHE_TEST_DATA "/golden/hf_llavanext/checkpoint");
  const models::Model& model = tiles.model();
  const models::ImageRows rows = model.encode_image(picture());
  const auto of_picture = static_cast<int64_t>(rows.kinds.size()), most = model.decoder.config.max_positions;
  ASSERT_GT(of_picture, least_rows(model));
  std::vector<int64_t> ids(static_cast<size_t>(most - 1 - of_picture), 1);
  ids.push_back(text::kImageId);
  EXPECT_NO_THROW(PromptLength(model, ids).add(rows));
  ids.push_back(1);
  PromptLength length(model, ids);
  EXPECT_THROW(length.add(rows), PromptTooLong);
  ids.assign(static_cast<size_t>(most), 1);
  EXPECT_THROW(PromptLength(model, ids), PromptTooLong);
}

// config.json may claim what no machine holds: the bytes of a batch stay numbers.
TEST(Prompt, TheLongestSequenceOfHostileConfigsIsBounded) {
  models::Model model;
  model.decoder.config = {.layers = plan::kMaxLayers,
                          .hidden = plan::kMaxWidth,
                          .intermediate = plan::kMaxWidth,
                          .heads = 1024,
                          .kv_heads = 1024,
                          .head_dim = 4096,
                          .vocab = plan::kMaxWidth,
                          .max_positions = 1 << 24};
  model.decoder.config.rope.factor = 1e6;
  model.decoder.config.rope.original_positions = 1 << 24;
  using Scaling = ops::RopeConfig::Scaling;
  for (const Scaling scaling : {Scaling::none, Scaling::linear, Scaling::dynamic, Scaling::yarn}) {
    model.decoder.config.rope.scaling = scaling;
    const int64_t longest = longest_sequence(model);
    EXPECT_EQ(longest, 1 << 24);
    EXPECT_GT(dense_cache_bytes(model, longest, 0), 0);
    EXPECT_GT(worst_case(model, {.joining_rows = longest, .sequences = 16, .longest = longest}), 0);
  }
}

Fault fault_of(const std::function<void()>& work) {
  try {
    naming_failures(work);
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.fault();
  }
  ADD_FAILURE() << "nothing was thrown";
  return Fault::internal;
}

TEST(Errors, AFailedAllocationIsALackOfMemory) {
  EXPECT_EQ(fault_of([] { throw std::bad_alloc(); }), Fault::no_memory);
  EXPECT_EQ(fault_of([] { at::empty({int64_t{1} << 60}, at::TensorOptions(at::kByte)); }), Fault::no_memory);
  EXPECT_EQ(fault_of([] { at::empty({2}).view({3}); }), Fault::internal);
  EXPECT_EQ(fault_of([] { fail(Fault::bad_file, "a file"); }), Fault::bad_file);
}

TEST(Memory, FileCacheOfAGroupIsFree) {
  const fs::path group = fs::temp_directory_path() / concat("lithe_group_", ::getpid());
  fs::create_directories(group);
  const auto put = [&](const char* name, const std::string& text) { std::ofstream(group / name) << text; };
  put("memory.max", "16000\n");
  put("memory.current", "14000\n");
  EXPECT_EQ(free_in_group(group), 2000);
  put("memory.stat", "anon 900\nfile 13000\ninactive_anon 7\ninactive_file 9000\nactive_file 3500\nslab 5\n");
  EXPECT_EQ(free_in_group(group), 14500);
  put("memory.current", "20000\n");
  EXPECT_EQ(free_in_group(group), 8500);
  put("memory.max", "max\n");
  EXPECT_EQ(free_in_group(group), std::numeric_limits<int64_t>::max());
  fs::remove_all(group);
  EXPECT_EQ(free_in_group(group), std::numeric_limits<int64_t>::max());
}

}  // namespace
}  // namespace lithe::session

// Folders that people really have, with the right values beside them: each folder of tests/data/cases is one case, and
// its expected.json says
//   files_of    a folder of tests/data; the model's folder has its files, and those of the case over them
//   without     names of such files that the model's folder lacks
//   lora_over   a folder of tests/data: the case is an adapter over it (then without files_of)
//   model       the folder in the case that holds config.json, if it is not the case itself
//   prompt, raw, picture    the request
//   rendered, input_ids, last_logits    what comes of it; logits are those of the last row, within 2e-4
//   sentence    parts of the one sentence that refuses the folder
//   waits_for   the part of the source tree that does not get this case right yet; the case is skipped
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "image/decode.h"
#include "models/model.h"
#include "session/generation.h"
#include "session/prompt_rows.h"
#include "session/session.h"

namespace lithe::session {
namespace {

namespace fs = std::filesystem;

const fs::path kData = LITHE_TEST_DATA;

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(kData / "cases"))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

class Case : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    folder_ = kData / "cases" / GetParam();
    expected_ = read_json_file(folder_ / "expected.json");
    if (expected_.contains("waits_for")) GTEST_SKIP() << "waits for " << expected_["waits_for"];
    place_ = fs::temp_directory_path() / concat("lithe_case_", ::getpid());
    fs::remove_all(place_);
    assemble();
  }
  void TearDown() override {
    if (!place_.empty()) fs::remove_all(place_);
  }

  /// Puts the folder together under its own name, which a conversation may follow from.
  void assemble() {
    const fs::path top = place_ / GetParam();
    fs::create_directories(top);
    if (expected_.contains("files_of")) {
      const Json without = expected_.value("without", Json::array());
      for (const fs::directory_entry& file : fs::directory_iterator(kData / expected_["files_of"].get<std::string>())) {
        const std::string name = file.path().filename().string();
        if (std::find(without.begin(), without.end(), name) == without.end())
          fs::create_symlink(file.path(), top / name);
      }
    }
    for (const fs::directory_entry& file : fs::directory_iterator(folder_)) {
      fs::remove(top / file.path().filename());
      if (file.path().filename() != "expected.json") fs::create_symlink(file.path(), top / file.path().filename());
    }
    model_ = top / expected_.value("model", std::string());
  }

  Session open() const {
    if (!expected_.contains("lora_over")) return Session::open(model_);
    return Session::open(kData / expected_["lora_over"].get<std::string>(), {.lora = model_});
  }

  Request request(const Session& session) const {
    const std::string prompt = expected_["prompt"].get<std::string>();
    Request request{.text = prompt, .raw = expected_.value("raw", false)};
    if (expected_.contains("picture"))
      request.images.push_back(
          image::read_image(kData / expected_["picture"].get<std::string>(), session.decode_options()));
    if (!request.raw) request.messages = {text::user_message(prompt, request.images.size())};
    return request;
  }

  /// Of the prompt's last row.
  static at::Tensor last_logits(const models::Model& model, const PromptRows& prompt) {
    Generation generation(model, std::make_shared<const plan::Plan>(model.plan));
    const at::Tensor hidden = generation.prefill(prompt.embeddings, prompt.kinds, {});
    return model.decoder.logits(hidden.narrow(0, hidden.size(0) - 1, 1))[0];
  }

  fs::path folder_, place_, model_;
  Json expected_;
};

TEST_P(Case, GivesTheRightValues) {
  const c10::InferenceMode no_gradients;
  if (expected_.contains("sentence")) {
    try {
      open();
      FAIL() << "the folder opens";
    } catch (const Error& error) {
      for (const Json& part : expected_["sentence"])
        EXPECT_NE(std::string(error.what()).find(part.get<std::string>()), std::string::npos) << error.what();
    }
    return;
  }
  const Session session = open();
  const Request asked = request(session);
  if (expected_.contains("rendered")) {
    EXPECT_EQ(session.model().prompting.render(asked.messages), expected_["rendered"].get<std::string>());
  }
  const PromptRows prompt = build_prompt(session.model(), asked);
  if (expected_.contains("input_ids")) {
    EXPECT_EQ(prompt.ids, expected_["input_ids"].get<std::vector<int64_t>>());
  }
  if (!expected_.contains("last_logits")) return;
  const at::Tensor right = at::tensor(at::ArrayRef<float>(expected_["last_logits"].get<std::vector<float>>()));
  const at::Tensor logits = last_logits(session.model(), prompt);
  ASSERT_EQ(logits.sizes(), right.sizes());
  EXPECT_LT((logits - right).abs().max().item<float>(), 2e-4);
}

INSTANTIATE_TEST_SUITE_P(Cases, Case, ::testing::ValuesIn(case_names()),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lithe::session

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>

#include "checkpoints/read/catalogue.h"
#include "ops/tensor_support.h"
#include "session/generation.h"

// An answer that is trained, in one pass with its prompt, gives the logits of the same answer when it is served.
namespace lithe::session {
namespace {

constexpr int64_t kPrompt = 17;
const std::vector<int64_t> kAnswer{31, 205, 8, 77};

/// LLaVA-EAS: three attentions replaced by PIAs, adapters before the others. Half of the vision rows skip layers 1 and
/// 2.
class TrainedAnswer : public ::testing::Test {
 protected:
  TrainedAnswer() : model_(models::open_model(LITHE_TEST_DATA "/golden/llava_eas/checkpoint")), plan_(model_->plan) {
    kinds_.assign(kPrompt + kAnswer.size(), routing::RowKind::text);
    std::fill_n(kinds_.begin() + 2, 9, routing::RowKind::vision);
    const plan::Rule half{.keep_share = 0.5, .by = "uniform", .others = {false, false, false, false}};
    for (const int64_t layer : {1, 2}) {
      if (!plan_.find("decoder", layer)) plan_.layers.push_back({.layer = layer});
      for (plan::LayerPlan& entry : plan_.layers) {
        if (entry.stream == "decoder" && entry.layer == layer) entry.rules = {half};
      }
    }
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < kPrompt; ++i) ids.push_back((37 * i + 11) % 400);
    prompt_ = embed(ids);
  }

  Tensor embed(const std::vector<int64_t>& ids) const {
    return model_->decoder.embed(at::tensor(at::ArrayRef<int64_t>(ids), at::kLong));
  }

  /// [rows, vocab], in one pass and without states.
  Tensor trained(const std::vector<int64_t>& answer, int64_t prompt_end) const {
    routing::Batch batch;
    batch.add({.plan = &plan_, .prompt_end = prompt_end}, kinds_);
    return model_->decoder.logits(model_->decoder.forward(std::move(batch), at::cat({prompt_, embed(answer)})));
  }

  /// The largest difference that another token of the answer makes to the logits before it.
  double moved(size_t token, int64_t prompt_end) const {
    std::vector<int64_t> other = kAnswer;
    other[token] = 399;
    const auto before = static_cast<int64_t>(kPrompt + token);
    return test::largest_difference(trained(other, prompt_end).narrow(0, 0, before),
                                    trained(kAnswer, prompt_end).narrow(0, 0, before));
  }

  std::unique_ptr<models::Model> model_;
  plan::Plan plan_;
  std::vector<routing::RowKind> kinds_;
  Tensor prompt_;
};

TEST_F(TrainedAnswer, GivesTheLogitsOfServing) {
  const at::NoGradGuard no_gradient;
  Generation serving(*model_, std::make_shared<const plan::Plan>(plan_));
  std::vector<Tensor> rows{serving.prefill(prompt_, std::span(kinds_).first(kPrompt))};
  for (const int64_t id : kAnswer) rows.push_back(serving.step(id));
  test::expect_close(trained(kAnswer, kPrompt), model_->decoder.logits(at::cat(rows)), 2e-5, "logits");
}

TEST_F(TrainedAnswer, MovesNoLogitBeforeIt) {
  const at::NoGradGuard no_gradient;
  for (size_t token = 0; token < kAnswer.size(); ++token) {
    EXPECT_EQ(moved(token, kPrompt), 0.0) << token;
    EXPECT_GT(moved(token, routing::Sequence::kEveryRow), 1e-3) << token << ": means over all rows, as published";
  }
}

}  // namespace
}  // namespace lithe::session

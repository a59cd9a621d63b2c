// Rope scaling `dynamic`, past the length of the pre-training, against what transformers does there: one base for all
// rows of a pass, which follows from the length of the sequence.
#include <ATen/ops/cat.h>

#include <cmath>

#include "checkpoints/read/catalogue.h"
#include "ops/tensor_support.h"
#include "support.h"

namespace lithe::models {
namespace {

constexpr int64_t kPositions = 16;
constexpr double kFactor = 2.0, kTheta = 10000.0;

std::unique_ptr<Model> model_with(const std::function<void(Json&)>& edit) {
  const TempFolder temp;
  const fs::path folder = temp.path / "model";
  fs::copy(golden_folder("hf_llava15") / "checkpoint", folder);
  edit_json(folder / "config.json", [&](Json& config) { edit(config["text_config"]); });
  return open_model(folder);
}

std::unique_ptr<Model> dynamic_model() {
  return model_with([](Json& text) {
    text["max_position_embeddings"] = kPositions;
    text["rope_scaling"] = {{"type", "dynamic"}, {"factor", kFactor}};
  });
}

/// What transformers' _compute_dynamic_ntk_parameters makes of the base.
double dynamic_theta(const Model& model, int64_t rows) {
  const double width = static_cast<double>(model.decoder.config.head_dim),
               length = static_cast<double>(std::max(rows, kPositions)), positions = static_cast<double>(kPositions);
  return kTheta * std::pow(kFactor * length / positions - (kFactor - 1), width / (width - 2));
}

Tensor rows_of(const Model& model, int64_t rows, uint64_t seed) {
  return test::Dice(seed).normal({rows, model.decoder.config.hidden}).to(at::kFloat);
}

Tensor logits_of(const Model& model, const Tensor& rows) {
  return prefill(model, rows, std::vector(static_cast<size_t>(rows.size(0)), routing::RowKind::text)).logits;
}

TEST(DynamicRope, TakesTheBaseThatTheLengthGives) {
  const auto dynamic = dynamic_model(), unscaled = model_with([](Json&) {});
  for (const int64_t rows : {int64_t{5}, kPositions, kPositions + 1, int64_t{30}}) {
    const double theta = dynamic_theta(*dynamic, rows);
    const auto plain = model_with([&](Json& text) { text["rope_theta"] = theta; });
    const Tensor x = rows_of(*dynamic, rows, 3), logits = logits_of(*dynamic, x);
    EXPECT_TRUE(close(logits, logits_of(*plain, x), 1e-5, 1e-5)) << rows;
    EXPECT_EQ(bool(close(logits, logits_of(*unscaled, x), 1e-5, 1e-5)), rows <= kPositions) << rows;
  }
}

TEST(DynamicRope, ASequenceOfABatchKeepsItsOwnLength) {
  const auto model = dynamic_model();
  const Tensor long_rows = rows_of(*model, 30, 4), short_rows = rows_of(*model, 7, 5);
  routing::Batch batch;
  for (const size_t rows : {30, 7}) batch.add({.plan = &model->plan}, std::vector(rows, routing::RowKind::text));
  const Tensor both = model->decoder.logits(model->decoder.forward(batch, at::cat({long_rows, short_rows})));
  EXPECT_TRUE(close(both.narrow(0, 0, 30), logits_of(*model, long_rows), 1e-5, 1e-5));
  EXPECT_TRUE(close(both.narrow(0, 30, 7), logits_of(*model, short_rows), 1e-5, 1e-5));
}

}  // namespace
}  // namespace lithe::models

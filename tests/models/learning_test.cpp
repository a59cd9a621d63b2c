// Weights that learn: copies of the file's, which autograd reaches and an optimiser may change.
#include "checkpoints/read/catalogue.h"
#include "models/peft_folder.h"
#include "ops/tensor_support.h"
#include "support.h"

namespace lithe::models {
namespace {

const fs::path kBase = golden_folder("hf_llava15") / "checkpoint";

bool learns(const WeightName& name) {
  if (name.role == Role::embeddings || name.role == Role::head) return true;
  return name.part == Part::decoder && name.layer == 1 && (name.role == Role::query || name.role == Role::norm1);
}

/// What learns, as an optimiser takes it.
std::vector<Tensor> learning(Model& model) {
  std::vector<Tensor> leaves;
  visit(model.decoder, [&](const WeightSlot& slot) {
    if (const auto* const* matrix = std::get_if<nn::Weight*>(&slot.place)) {
      if (const auto values = (*matrix)->learning()) leaves.push_back(*values);
    } else if (const Tensor& values = *std::get<Tensor*>(slot.place); values.requires_grad()) {
      leaves.push_back(values);
    }
  });
  return leaves;
}

Tensor loss_of(const Model& model) {
  const std::vector<routing::RowKind> kinds(6, routing::RowKind::text);
  const Tensor rows = model.decoder.embed(at::tensor({5, 17, 3, 9, 200, 41}, at::kLong));
  return prefill(model, rows, kinds).logits.square().mean();
}

TEST(Learning, OnlyWhatIsAskedForIsACopyThatAsksForGradients) {
  const auto model = open_model(kBase, {.weights = WeightStorage::bfloat16, .learns = learns});
  visit(*model, [&](const HeldWeight& held) {
    EXPECT_EQ(held.weight.learning().has_value(), learns(held.name)) << text_of(held.name);
    if (held.weight.learning()) {
      EXPECT_EQ(held.weight.type(), at::kFloat) << text_of(held.name);
    }
  });
  for (const Tensor& leaf : learning(*model)) EXPECT_TRUE(leaf.is_leaf());
  EXPECT_EQ(learning(*model).size(), 4u);
}

TEST(Learning, EveryWeightOfATowerIsALeafToo) {
  const auto model = open_model(kBase, {.learns = [](const WeightName&) { return true; }});
  int64_t matrices = 0;
  visit(*model->vision, [&](const WeightSlot& slot) {
    if (const auto* const* matrix = std::get_if<nn::Weight*>(&slot.place)) {
      ASSERT_TRUE((*matrix)->learning()) << text_of(slot.name);
      EXPECT_TRUE((*matrix)->learning()->is_leaf()) << text_of(slot.name);
      ++matrices;
    } else {
      EXPECT_TRUE(std::get<Tensor*>(slot.place)->is_leaf()) << text_of(slot.name);
    }
  });
  EXPECT_GT(matrices, 0);
}

TEST(Learning, AStepDownTheGradientLowersTheLossAndLeavesTheFile) {
  const auto model = open_model(kBase, {.weights = WeightStorage::bfloat16, .learns = learns});
  const Tensor loss = loss_of(*model);
  loss.backward();
  for (Tensor& leaf : learning(*model)) {
    ASSERT_TRUE(leaf.grad().defined());
    const at::NoGradGuard no_gradient;
    leaf.sub_(leaf.grad(), 1e-2);
  }
  const at::NoGradGuard no_gradient;
  EXPECT_LT(loss_of(*model).item<double>(), loss.item<double>());
  const auto again = open_model(kBase, {.weights = WeightStorage::bfloat16, .learns = learns});
  EXPECT_NEAR(loss_of(*again).item<double>(), loss.item<double>(), 1e-5);
}

/// In float32, every gradient is that of the whole model in LibTorch's own operations: half a step either way moves the
/// loss by as much.
TEST(Learning, GradientsAreSlopes) {
  const auto model = open_model(kBase, {.learns = learns});
  loss_of(*model).backward();
  for (Tensor& leaf : learning(*model)) {
    const Tensor direction = leaf.grad() / leaf.grad().norm();
    const double step = 1e-2, expected = leaf.grad().norm().item<double>();
    const at::NoGradGuard no_gradient;
    leaf.add_(direction, step / 2);
    const double above = loss_of(*model).item<double>();
    leaf.sub_(direction, step);
    const double below = loss_of(*model).item<double>();
    leaf.add_(direction, step / 2);
    EXPECT_NEAR((above - below) / step, expected, 0.02 * expected + 1e-4);
  }
}

TEST(Learning, LoraLearnsOverABaseThatDoesNot) {
  const TempFolder temp;
  test::PeftFolder adapter;
  adapter.add("model.layers.0.self_attn.q_proj", 32, 32);
  adapter.write(temp.path / "adapter");
  const auto model = open_model(
      kBase, {.lora = temp.path / "adapter", .weights = WeightStorage::bfloat16, .learns = [](const auto& name) {
                return name.kind == Kind::factor_a || name.kind == Kind::factor_b;
              }});
  const auto leaves = learning(*model);
  ASSERT_EQ(leaves.size(), 2u);
  loss_of(*model).backward();
  for (const Tensor& leaf : leaves) {
    EXPECT_EQ(leaf.scalar_type(), at::kFloat);
    EXPECT_GT(leaf.grad().abs().max().item<double>(), 0);
  }
}

TEST(Learning, ATiedHeadLearnsWithItsEmbeddings) {
  const TempFolder temp;
  const fs::path base = temp.path / "base";
  fs::copy(kBase, base, fs::copy_options::recursive);
  edit_json(base / "config.json", [](Json& json) { json["text_config"]["tie_word_embeddings"] = true; });
  edit_tensors(base / "model.safetensors", [](auto& tensors) { tensors.erase("language_model.lm_head.weight"); });
  const auto model = open_model(base, {.learns = learns});
  EXPECT_EQ(learning(*model).size(), 3u);
  ASSERT_TRUE(model->decoder.head.weight.learning());
  EXPECT_TRUE(model->decoder.head.weight.learning()->is_same(*model->decoder.embeddings.learning()));
}

}  // namespace
}  // namespace lithe::models

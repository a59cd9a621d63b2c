#include "models/joined_products.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include "checkpoints/read/catalogue.h"
#include "models/compute.h"
#include "ops/tensor_support.h"
#include "support.h"

namespace lithe::models {
namespace {

int64_t joined_sites(const Model& model) {
  int64_t count = 0;
  for (const routing::Block& block : model.decoder.blocks) {
    for (const routing::Site& site : block.sites) {
      if (const auto* attention = std::get_if<nn::Attention>(&site.branch)) count += attention->joined.has_value();
      if (const auto* mlp = std::get_if<nn::Mlp>(&site.branch)) count += mlp->joined.has_value();
    }
  }
  return count;
}

Tensor logits_of(const Model& model) {
  constexpr int64_t kRows = 40, kText = 8;
  std::vector<routing::RowKind> kinds(kRows, routing::RowKind::vision);
  std::fill_n(kinds.begin(), kText, routing::RowKind::text);
  return prefill(model, model.decoder.embed(at::arange(kRows)), kinds).logits;
}

// With the biases and the grouped heads of Qwen2, with a tower, and with p-MoD.
TEST(JoinedProducts, GiveTheSameLogitsFromTheSameMemory) {
  for (const char* name : {"llava_onevision", "hf_llava15", "pmod_llava15"}) {
    const auto model = open_model(golden_folder(name) / "checkpoint");
    const Tensor before = logits_of(*model);
    const int64_t blocks = std::ssize(model->decoder.blocks);
    join_products(*model);
    EXPECT_EQ(joined_sites(*model), 2 * blocks) << name;
    test::expect_close(logits_of(*model), before, 1e-5, name);
    const auto& attention = std::get<nn::Attention>(model->decoder.blocks[0].sites[0].branch);
    EXPECT_EQ(attention.query.weight.address(), attention.joined->weight.address()) << name;
    EXPECT_EQ(attention.joined->out(), attention.query.out() + attention.key.out() + attention.value.out()) << name;
  }
}

TEST(JoinedProducts, AreComputedAsTheirPartsWere) {
  const auto model = open_model(golden_folder("hf_llava15") / "checkpoint");
  compute_in(*model, ops::Compute::bfloat16);
  const Tensor before = logits_of(*model);
  join_products(*model);
  test::expect_close(logits_of(*model), before, 1e-5, "bfloat16");
  const auto exact = open_model(golden_folder("hf_llava15") / "checkpoint");
  EXPECT_GT((logits_of(*exact) - before).abs().max().item<double>(), 1e-4);
}

TEST(JoinedProducts, AreLeftApartIfTheyLearnOrAreCodes) {
  const auto learning =
      open_model(golden_folder("hf_llava15") / "checkpoint",
                 {.learns = [](const WeightName& name) { return name.role == Role::key || name.role == Role::up; }});
  const auto codes = open_model(golden_folder("hf_llava15") / "checkpoint", {.weights = WeightStorage::int8});
  for (Model* const model : {learning.get(), codes.get()}) {
    join_products(*model);
    EXPECT_EQ(joined_sites(*model), 0);
  }
}

}  // namespace
}  // namespace lithe::models

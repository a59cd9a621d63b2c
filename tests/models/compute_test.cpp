// How the products of many rows are computed.
#include "models/compute.h"

#include <ATen/ops/arange.h>

#include "checkpoints/read/catalogue.h"
#include "ops/code_gemm.h"
#include "ops/product.h"
#include "support.h"

namespace lithe::models {
namespace {

const fs::path kFolder = golden_folder("hf_llava15") / "checkpoint";

constexpr int64_t kRows = 40;

Tensor logits_in(WeightStorage storage, ops::Compute compute) {
  const auto model = open_model(kFolder, {.weights = storage});
  compute_in(*model, compute);
  return prefill(*model, model->decoder.embed(at::arange(kRows)), std::vector<routing::RowKind>(kRows)).logits;
}

double apart(const Tensor& logits, const Tensor& expected) {
  return (logits - expected).norm().item<double>() / expected.norm().item<double>();
}

/// Whether rows may be rounded to 8 bits: not if the processor has no kernel for it, or LITHE_PRODUCT asks for another.
bool rounds_to_int8() {
  const ops::WeightView codes{.kind = ops::WeightKind::int8, .outs = 64, .width = 64, .group = 64};
  const ops::Product product = ops::product_for(kRows, codes);
  return ops::has_code_gemm() && (product == ops::Product::code_gemm || product == ops::Product::few_code_rows);
}

TEST(Compute, ChangesTheLogitsByItsRoundingAlone) {
  for (const auto& [storage, compute, least, most] :
       {std::tuple{WeightStorage::float32, ops::Compute::bfloat16, 1e-5, 0.05},
        {WeightStorage::int8, ops::Compute::int8, 1e-4, 0.05},
        {WeightStorage::int4, ops::Compute::int8, 1e-4, 0.05}}) {
    const Tensor exact = logits_in(storage, ops::Compute::float32);
    const double difference = apart(logits_in(storage, compute), exact);
    EXPECT_LT(difference, most);
    if (compute == ops::Compute::bfloat16 || rounds_to_int8()) {
      EXPECT_GT(difference, least);
    } else {
      EXPECT_EQ(difference, 0);
    }
  }
}

TEST(Compute, RefusesInt8WithoutCodes) {
  const auto model = open_model(kFolder);
  try {
    compute_in(*model, ops::Compute::int8);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::bad_request);
    EXPECT_NE(std::string(error.what()).find("held as int8 or int4"), std::string::npos);
  }
}

}  // namespace
}  // namespace lithe::models

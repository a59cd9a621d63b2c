// How the products of many rows are computed.
#include "models/compute.h"

#include <ATen/ops/arange.h>

#include "checkpoints/read/catalogue.h"
#include "ops/code_gemm.h"
#include "support.h"

namespace lithe::models {
namespace {

const fs::path kFolder = golden_folder("hf_llava15") / "checkpoint";

Tensor logits_in(WeightStorage storage, ops::Compute compute) {
  const auto model = open_model(kFolder, {.weights = storage});
  compute_in(*model, compute);
  constexpr int64_t kRows = 40;
  return prefill(*model, model->decoder.embed(at::arange(kRows)), std::vector<routing::RowKind>(kRows)).logits;
}

double apart(const Tensor& logits, const Tensor& expected) {
  return (logits - expected).norm().item<double>() / expected.norm().item<double>();
}

TEST(Compute, ChangesTheLogitsByItsRoundingAlone) {
  for (const auto& [storage, compute, least, most] :
       {std::tuple{WeightStorage::float32, ops::Compute::bfloat16, 1e-5, 0.05},
        {WeightStorage::int8, ops::Compute::int8, 1e-4, 0.05},
        {WeightStorage::int4, ops::Compute::int8, 1e-4, 0.05}}) {
    const Tensor exact = logits_in(storage, ops::Compute::float32);
    const double difference = apart(logits_in(storage, compute), exact);
    EXPECT_LT(difference, most);
    if (compute == ops::Compute::bfloat16 || ops::has_code_gemm()) {
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

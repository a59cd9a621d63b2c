#include "ops/row_gemm.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "ops/matmul.h"
#include "ops/row_gemm_kernels.h"
#include "product_support.h"
#include "vector_sets.h"

namespace lithe::ops {
namespace {

TEST(RowGemm, EqualsTheProductForEveryRemainder) {
  for_every_vector_set([] {
    if (!has_row_gemm()) return;
    expect_equals_product(
        row_gemm, {at::kFloat, at::kBFloat16, at::kHalf},
        {{1, 1, 1}, {7, 13, 33}, {32, 56, 1024}, {33, 57, 1025}, {126, 301, 2300}, {40, 120, 4096}, {64, 3, 17}},
        kFloatDeviation);
  });
}

TEST(RowGemm, GivesBothGradients) {
  const at::NoGradGuard no_gradients;
  for_every_vector_set([] {
    if (!has_row_gemm()) return;
    for (const auto& [rows, outs, width] : std::vector<std::array<int64_t, 3>>{
             {1, 1, 1}, {7, 13, 33}, {33, 1025, 57}, {530, 40, 70}, {1030, 65, 15}, {64, 1100, 130}}) {
      const Tensor y = at::randn({rows, outs}, at::kFloat), x = at::randn({rows, width}, at::kFloat);
      for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
        const Tensor weight = at::randn({outs, width}, at::kFloat).to(type);
        const Tensor actual = at::empty({rows, width}, at::kFloat);
        row_gemm_for_rows(y.const_data_ptr<float>(), rows, view_of(weight), actual.mutable_data_ptr<float>());
        EXPECT_LT(deviation(actual, y, weight.t()), kFloatDeviation) << rows << " x " << outs << " x " << width;
      }
      const Tensor actual = at::empty({outs, width}, at::kFloat);
      row_gemm_for_weight(y.const_data_ptr<float>(), x.const_data_ptr<float>(), rows, outs, width,
                          actual.mutable_data_ptr<float>());
      EXPECT_LT(deviation(actual, y.t(), x.t()), kFloatDeviation) << rows << " x " << outs << " x " << width;
    }
  });
}

/// The innermost kernel for every count of weight rows, half a panel and a whole one.
void expect_adds(const RowGemmKernel& kernel) {
  constexpr int64_t kDepth = 2 * kChunk;
  const Tensor x = at::randn({kDepth, kernel.panel}, at::kFloat);
  for (int64_t outs = 1; outs <= kernel.max_outs; ++outs) {
    const Tensor w = at::randn({2, outs, kChunk}, at::kFloat);
    for (const int64_t columns : {kernel.panel / 2, kernel.panel}) {
      Tensor sums = at::randn({outs, kernel.panel}, at::kFloat);
      const Tensor expected = (sums + w.transpose(0, 1).reshape({outs, kDepth}).matmul(x)).narrow(1, 0, columns);
      const Ahead ahead{static_cast<const char*>(x.const_data_ptr()), 3, kernel.panel * 4, kernel.panel * 4};
      kernel.add(w.const_data_ptr<float>(), x.const_data_ptr<float>(), kDepth, outs, columns, ahead,
                 sums.mutable_data_ptr<float>());
      EXPECT_LT((sums.narrow(1, 0, columns) - expected).abs().max().item<double>(), 1e-4)
          << "panel " << kernel.panel << ", " << outs << " outs, " << columns << " columns";
    }
  }
}

TEST(RowGemm, EveryKernelOfThisProcessorAddsTheSame) {
  for_every_vector_set([] {
    if (has_row_gemm()) expect_adds(row_gemm_kernel());
  });
}

TEST(RowGemm, LinearGivesTheSameWhateverTakesIt) {
  const at::NoGradGuard no_gradients;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const double most = type == at::kFloat ? kFloatDeviation : kTwoTermDeviation;
    const Tensor weight = at::randn({2048, 2048}, at::kFloat).to(type), bias = at::randn({2048}, at::kFloat);
    for (const int64_t rows : {1, 8, 9, 40, 160, 161, 256, 257}) {
      const Tensor x = at::randn({rows, 2048}, at::kFloat);
      EXPECT_LT(deviation(ops::linear(x, weight, bias) - bias, x, weight), most)
          << rows << " rows, " << c10::toString(type);
    }
  }
}

}  // namespace
}  // namespace lithe::ops

// The same numbers give the same bits, wherever they lie in memory.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/softmax.h>

#include <functional>
#include <numeric>

#include "base/error.h"
#include "ops/activation.h"
#include "ops/attend.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/product_support.h"
#include "ops/rope.h"
#include "ops/tensor_support.h"

namespace lithe::ops {
namespace {

using test::Dice;

constexpr int64_t kLine = 64;

/// A copy that begins `bytes` after a multiple of 64.
Tensor shifted(const Tensor& values, int64_t bytes) {
  const int64_t element = values.element_size();
  const Tensor room = at::empty({values.numel() + kLine}, values.options());
  const auto address = reinterpret_cast<uintptr_t>(room.data_ptr());
  const int64_t first = ((bytes - static_cast<int64_t>(address)) % kLine + kLine) % kLine / element;
  return room.narrow(0, first, values.numel()).view(values.sizes()).copy_(values);
}

/// `run` of a copy of `values` at every alignment that their type allows gives the same bits.
void expect_same_everywhere(const Tensor& values, const std::function<Tensor(const Tensor&)>& run,
                            const std::string& what) {
  const Tensor expected = run(shifted(values, 0)).clone();
  for (int64_t bytes = values.element_size(); bytes < kLine; bytes += values.element_size())
    ASSERT_TRUE(run(shifted(values, bytes)).equal(expected)) << what << ", " << bytes << " bytes off";
}

void expect_product(Dice& dice, int64_t rows, int64_t width, int64_t outs, at::ScalarType type) {
  const Tensor x = dice.normal({rows, width}).to(at::kFloat), weight = dice.normal({outs, width}, 0.1).to(type),
               bias = dice.normal({outs}).to(type);
  const std::string what = concat(rows, " x ", width, " -> ", outs, " ", c10::toString(type));
  const auto run = [&](const Tensor& a, const Tensor& b, const Tensor& c) { return ops::linear(a, b, c); };
  expect_same_everywhere(
      weight, [&](const Tensor& w) { return run(x, w, bias); }, what + ", weight");
  if (weight.numel() > (1 << 20)) return;
  expect_same_everywhere(
      x, [&](const Tensor& in) { return run(in, weight, bias); }, what + ", rows");
  expect_same_everywhere(
      bias, [&](const Tensor& b) { return run(x, weight, b); }, what + ", bias");
}

class Alignment : public ::testing::Test {
 protected:
  const at::NoGradGuard no_gradients_;
  Dice dice_{31};
};

TEST_F(Alignment, OfSmallWeightsChangesNoProduct) {
  for (const at::ScalarType type : kStored) {
    for (const int64_t rows : {1, 2, 5, 8, 9, 33, 150, 300}) {
      for (const auto& [width, outs] : {std::pair{16, 24}, {32, 1}, {36, 100}, {100, 36}, {128, 128}})
        expect_product(dice_, rows, width, outs, type);
    }
  }
}

// Large weights take the other kernels: few rows, row_gemm, tiles if the processor has them, panels, the library.
TEST_F(Alignment, OfLargeWeightsChangesNoProduct) {
  for (const at::ScalarType type : kStored) {
    for (const int64_t rows : {3, 20, 257}) expect_product(dice_, rows, 4096, 1025, type);
  }
}

TEST_F(Alignment, ChangesNoAttention) {
  constexpr int64_t kHeads = 4;
  for (const int64_t width : {8, 20, 64}) {
    for (const int64_t kv_heads : {kHeads, int64_t{2}}) {
      for (const auto& [rows, length] : {std::pair{1, 7}, {1, 300}, {5, 40}, {70, 70}, {40, 90}}) {
        const Tensor queries = dice_.normal({rows, kHeads, width}).to(at::kFloat),
                     keys = dice_.normal({length, kv_heads, width}).to(at::kFloat),
                     values = dice_.normal({length, kv_heads, width}).to(at::kFloat);
        std::vector<int64_t> positions(static_cast<size_t>(length));
        std::iota(positions.begin(), positions.end(), 0);
        const auto run = [&, rows = rows, length = length](const Tensor& q, const Tensor& k, const Tensor& v) {
          const std::vector<int64_t> offsets{0, rows};
          return attend_packed({q, offsets, std::span(positions).last(static_cast<size_t>(rows))},
                               {{{}, {k, v, positions}}}, {.scale = 0.4});
        };
        const std::string what = concat(rows, " of ", length, ", ", kv_heads, " x ", width);
        expect_same_everywhere(
            queries, [&](const Tensor& q) { return run(q, keys, values); }, what + ", queries");
        expect_same_everywhere(
            keys, [&](const Tensor& k) { return run(queries, k, values); }, what + ", keys");
        expect_same_everywhere(
            values, [&](const Tensor& v) { return run(queries, keys, v); }, what + ", values");
        const auto row = [&](const Tensor& k) { return attention_of_row(queries[0], k, 0.4); };
        expect_same_everywhere(keys, row, what + ", attention of a row");
      }
    }
  }
}

TEST_F(Alignment, ChangesNoNorm) {
  for (const int64_t width : {1, 7, 16, 100, 1024}) {
    const Tensor x = dice_.normal({9, width}).to(at::kFloat), gain = dice_.normal({width}).to(at::kFloat),
                 bias = dice_.normal({width}).to(at::kFloat);
    const std::string what = concat("width ", width);
    expect_same_everywhere(
        x, [&](const Tensor& in) { return rms_norm(in, gain, 1e-5); }, what + ", rms");
    expect_same_everywhere(
        gain, [&](const Tensor& g) { return rms_norm(x, g, 1e-5); }, what + ", rms gain");
    expect_same_everywhere(
        x, [&](const Tensor& in) { return layer_norm(in, gain, bias, 1e-5); }, what + ", layer");
    expect_same_everywhere(
        gain, [&](const Tensor& g) { return layer_norm(x, g, bias, 1e-5); }, what + ", layer gain");
    expect_same_everywhere(
        bias, [&](const Tensor& b) { return layer_norm(x, gain, b, 1e-5); }, what + ", layer bias");
    expect_same_everywhere(
        x, [&](const Tensor& in) { return in.mean(0, true); }, what + ", mean of rows");
    expect_same_everywhere(
        x, [&](const Tensor& in) { return at::softmax(in, -1); }, what + ", softmax");
    expect_same_everywhere(
        gain, [&](const Tensor& g) { return at::linear(x, g.unsqueeze(0)); }, what + ", router");
  }
}

TEST_F(Alignment, ChangesNoActivation) {
  const Tensor x = dice_.normal({7, 77}).to(at::kFloat), up = dice_.normal({7, 77}).to(at::kFloat);
  for (const char* name : {"silu", "gelu", "gelu_new", "quick_gelu", "relu"}) {
    const Activation kind = activation_from_name(name, "test");
    expect_same_everywhere(
        x, [&](const Tensor& in) { return activate(kind, in); }, name);
  }
  expect_same_everywhere(
      x, [&](const Tensor& gate) { return swiglu(gate, up); }, "swiglu, gate");
  expect_same_everywhere(
      up, [&](const Tensor& in) { return swiglu(x.clone(), in); }, "swiglu, up");
  const Tensor heads = dice_.normal({5, 3, 22}).to(at::kFloat);
  const RopeAngles angles = rope_angles({.head_dim = 22}, std::vector<int64_t>{0, 1, 5, 6, 90});
  expect_same_everywhere(
      heads, [&](const Tensor& in) { return rotate(in, angles); }, "rotate");
}

}  // namespace
}  // namespace lithe::ops

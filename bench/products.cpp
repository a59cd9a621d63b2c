// Times products of few rows, as decoding has them, beside a plain read of the same weights by as many threads. Each
// round reads once and multiplies once per count of rows. A result is compared with float64 before anything is timed.
//   build/release/bin/bench_products [--rows 1,4,8,16] [--weights bfloat16,int4] [--outs N] [--width N] [--rounds N]
//       [--threads N] [--compute int8]
// With one thread, processor time is measured in place of wall-clock time.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/vector_set.h"
#include "bench_program.h"
#include "ops/low_bit.h"
#include "ops/matmul.h"
#include "ops/product.h"
#include "ops/weight_tensor.h"

namespace lithe::ops {
namespace {

struct Options {
  std::vector<int64_t> rows{1, 4, 8, 16};
  std::vector<std::string> weights{"float32", "bfloat16", "float16", "int8", "int4"};
  int64_t outs = 65536, width = 4096, rounds = 9, threads = 2;
  Compute compute = Compute::float32;
};

Options options_of(int count, char** arguments) {
  Options options;
  const std::map<std::string, std::function<void(const std::string&)>> flags{
      {"--rows", [&](const std::string& value) { options.rows = bench::numbers_of(value); }},
      {"--outs", [&](const std::string& value) { options.outs = std::stoll(value); }},
      {"--width", [&](const std::string& value) { options.width = std::stoll(value); }},
      {"--rounds", [&](const std::string& value) { options.rounds = std::stoll(value); }},
      {"--threads", [&](const std::string& value) { options.threads = std::stoll(value); }},
      {"--compute",
       [&](const std::string& value) {
         require(value == "float32" || value == "int8", Fault::bad_request, "--compute takes float32 or int8.");
         options.compute = value == "int8" ? Compute::int8 : Compute::float32;
       }},
      {"--weights", [&](const std::string& value) { options.weights = bench::names_of(value); }},
  };
  for (int i = 1; i < count; i += 2) {
    const auto flag = flags.find(arguments[i]);
    require(flag != flags.end() && i + 1 < count, Fault::bad_request, "unknown flag or missing value: ", arguments[i]);
    flag->second(arguments[i + 1]);
  }
  return options;
}

/// Weights of one type: a tensor, or codes as `lithe quantize` makes them, of random numbers.
struct Weights {
  std::optional<Tensor> floats;
  LowBit codes;

  WeightView view() const { return floats ? view_of(*floats) : codes.view(); }
  std::vector<Tensor> memory() const { return floats ? std::vector{*floats} : std::vector{codes.codes, codes.scales}; }
};

Weights weights_of(const std::string& name, const Options& options) {
  static const std::map<std::string, at::ScalarType> kTypes{
      {"float32", at::kFloat}, {"bfloat16", at::kBFloat16}, {"float16", at::kHalf}};
  if (const auto type = kTypes.find(name); type != kTypes.end()) {
    Tensor made = at::empty({options.outs, options.width}, type->second);
    const Tensor some = at::randn({std::min<int64_t>(options.outs, 1024), options.width}, at::kFloat);
    for (int64_t first = 0; first < options.outs; first += some.size(0)) {
      const int64_t count = std::min(some.size(0), options.outs - first);
      made.narrow(0, first, count).copy_(some.narrow(0, 0, count));
    }
    return {.floats = made};
  }
  require(name == "int8" || name == "int4", Fault::bad_request,
          "--weights takes float32, bfloat16, float16, int8 and int4.");
  const bool eight = name == "int8";
  const int64_t group = eight ? options.width : 64;
  LowBit codes{.kind = eight ? WeightKind::int8 : WeightKind::int4, .width = options.width, .group = group};
  codes.codes = eight ? at::randint(-127, 128, {options.outs, options.width}, at::kChar)
                      : at::randint(0, 256, {options.outs, options.width / 2}, at::kByte);
  codes.scales = at::randn({options.outs, options.width / group}, at::kFloat);
  return {.codes = codes};
}

Tensor product(const Tensor& x, const Weights& weights, Compute compute) {
  return weights.floats ? ops::linear(x, *weights.floats, std::nullopt)
                        : low_bit_linear(x, weights.codes, std::nullopt, compute);
}

/// The first rows of the weights alone, in float64.
void check(const Tensor& x, const Tensor& y, const Weights& weights, Compute compute) {
  const int64_t outs = std::min<int64_t>(y.size(1), 64);
  const Tensor wide = at::empty({outs, x.size(1)}, at::kFloat);
  widen_rows(weights.view(), 0, outs, wide.mutable_data_ptr<float>());
  const Tensor exact = x.to(at::kDouble).matmul(wide.to(at::kDouble).t());
  const double apart = ((y.narrow(1, 0, outs) - exact).norm() / exact.norm()).item<double>();
  require(apart < (compute == Compute::int8 ? 2e-2 : 1e-4), Fault::internal, "the product is off by ", apart);
}

LITHE_VECTORISED void read_loop(const uint64_t* words, int64_t count, uint64_t* sum) {
  constexpr int64_t kAtOnce = 64;
  uint64_t sums[kAtOnce] = {};
  for (int64_t i = 0; i + kAtOnce <= count; i += kAtOnce)
    for (int64_t k = 0; k < kAtOnce; ++k) sums[k] += words[i + k];
  for (const uint64_t part : sums) *sum += part;
}

/// Keeps the compiler from leaving the reads out.
std::atomic<uint64_t> kept;

/// Every byte once, each thread its share.
void read(const std::vector<Tensor>& memory) {
  for (const Tensor& tensor : memory) {
    const auto words = static_cast<int64_t>(tensor.nbytes() / sizeof(uint64_t));
    const auto* const data = static_cast<const uint64_t*>(tensor.const_data_ptr());
    at::parallel_for(0, words, 65536, [&](int64_t begin, int64_t end) {
      uint64_t sum = 0;
      run_vectorised<read_loop>(data + begin, end - begin, &sum);
      kept.store(sum, std::memory_order_relaxed);
    });
  }
}

/// Of the processor, if one thread runs: other work on the machine changes that less.
double seconds_of(const std::function<void()>& run) {
  if (at::get_num_threads() == 1) {
    const std::clock_t start = std::clock();
    run();
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  }
  const Stopwatch watch;
  run();
  return watch.elapsed_ms() / 1e3;
}

void time_weights(const std::string& name, const Options& options) {
  const Weights weights = weights_of(name, options);
  double bytes = 0;
  for (const Tensor& tensor : weights.memory()) bytes += static_cast<double>(tensor.nbytes());
  std::vector<Tensor> inputs;
  for (const int64_t rows : options.rows) {
    inputs.push_back(at::randn({rows, options.width}, at::kFloat));
    check(inputs.back(), product(inputs.back(), weights, options.compute), weights, options.compute);
  }
  std::vector<double> reads;
  std::vector<std::vector<double>> products(inputs.size()), shares(inputs.size());
  for (int64_t round = 0; round < options.rounds; ++round) {
    reads.push_back(seconds_of([&] { read(weights.memory()); }));
    for (size_t i = 0; i < inputs.size(); ++i) {
      products[i].push_back(seconds_of([&] { product(inputs[i], weights, options.compute); }));
      shares[i].push_back(reads.back() / products[i].back());
    }
  }
  const auto rate = [&](double seconds) { return bytes / seconds / 1e9; };
  std::printf("%s: a plain read: %.1f GB/s at best, %.1f median\n", name.c_str(), rate(bench::least(reads)),
              rate(bench::median(reads)));
  for (size_t i = 0; i < inputs.size(); ++i) {
    const double least = bench::least(products[i]), median = bench::median(products[i]);
    std::printf("  %2lld rows: %5.1f GB/s at best (%3.0f %% of a read), %5.1f median (%3.0f %%; by rounds %3.0f %%)\n",
                static_cast<long long>(options.rows[i]), rate(least), 100 * bench::least(reads) / least, rate(median),
                100 * bench::median(reads) / median, 100 * bench::median(shares[i]));
  }
}

void run(int count, char** arguments) {
  const c10::InferenceMode inference;
  const Options options = options_of(count, arguments);
  at::set_num_threads(static_cast<int>(options.threads));
  std::printf("%s, %lld threads, load %.1f, %lld x %lld weights, %lld rounds\n", name_of(vector_set()),
              static_cast<long long>(options.threads), bench::load(), static_cast<long long>(options.outs),
              static_cast<long long>(options.width), static_cast<long long>(options.rounds));
  for (const std::string& name : options.weights) time_weights(name, options);
  std::printf("load %.1f\n", bench::load());
}

}  // namespace
}  // namespace lithe::ops

int main(int count, char** arguments) {
  return lithe::bench::exit_code([&] { lithe::ops::run(count, arguments); });
}

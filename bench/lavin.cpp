// Times what EAS changes at LaVIN-7B's width, sides in turn: LaVIN with its RepAdapters as they learn, LaVIN-EAS with
// PIAs and RepAdapters as they learn, LaVIN-EAS folded, LaVIN without adapters, and LaVIN with them again. Of the
// layers, 12 of 32 lose their attention. Last, what the published code computes anew for each prompt: the products that
// fold one kept and one skipped attention, as dense matrices.
//   build/release/bin/bench_lavin [--layers 8] [--rounds 3] [--tokens 128,512,2000] [--decode-tokens 8]
//                                 [--weights bfloat16|float32]
#include <ATen/Parallel.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/vector_set.h"
#include "bench_program.h"
#include "models/additions.h"
#include "session/bench.h"

namespace lithe::session {
namespace {

using at::Tensor;
using bench::least;
using bench::load;
using bench::median;

constexpr int64_t kVision = 6, kWidth = 4096, kFeedForward = 11008;  // six class tokens of the tower
constexpr int64_t kRepRank = 8, kPiaRank = 32;                       // as the published code makes them

struct Options {
  int64_t layers = 8, rounds = 3, decode_tokens = 8;
  models::WeightStorage weights = models::WeightStorage::bfloat16;
  std::vector<int64_t> tokens{128, 512, 2000};
};

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; i += 2) {
    const std::string name = arguments[i];
    require(i + 1 < count, Fault::bad_request, name, " needs a value");
    const std::string value = arguments[i + 1];
    if (name == "--layers") {
      options.layers = std::stoll(value);
    } else if (name == "--rounds") {
      options.rounds = std::stoll(value);
    } else if (name == "--tokens") {
      options.tokens = bench::numbers_of(value);
    } else if (name == "--decode-tokens") {
      options.decode_tokens = std::stoll(value);
    } else if (name == "--weights") {
      options.weights = value == "float32" ? models::WeightStorage::float32 : models::WeightStorage::bfloat16;
    } else {
      fail(Fault::bad_request, name, " is not an option");
    }
  }
  return options;
}

/// The last 12 of 32 layers, as nearly as this many layers allow: the published list has 11 of the last 12.
std::vector<int64_t> skipped_layers(int64_t layers) {
  std::vector<int64_t> skipped;
  for (int64_t layer = layers - layers * 12 / 32; layer < layers; ++layer) skipped.push_back(layer);
  return skipped;
}

plan::Plan plan_without(const std::vector<int64_t>& layers) {
  plan::Plan plan{.name = "eas"};
  for (const int64_t layer : layers) plan.layers.push_back({.layer = layer, .self_attention = false});
  return plan;
}

struct Times {
  std::vector<double> prefill, decode;
};

/// A model under a plan. Models share the weights that they have in common.
struct Side {
  std::string name;
  models::Model model;
  plan::Plan plan;
  Times times;
};

/// A model with the same weights.
models::Model sharing(const models::Model& model) {
  models::Model other;
  other.name = model.name;
  other.decoder = model.decoder;
  other.facts = model.facts;
  return other;
}

models::Model with_adapters(const models::Model& bare, std::vector<int64_t> without_attention) {
  models::Model model = sharing(bare);
  std::vector<int64_t> kept;
  for (int64_t layer = 0; layer < model.decoder.config.layers; ++layer) {
    if (std::find(without_attention.begin(), without_attention.end(), layer) == without_attention.end())
      kept.push_back(layer);
  }
  add_adapters(model, {.reps = kept, .pias = std::move(without_attention), .rep_rank = kRepRank, .pia_rank = kPiaRank});
  return model;
}

std::vector<Side> sides_of(const models::Model& bare) {
  const std::vector<int64_t> skipped = skipped_layers(bare.decoder.config.layers);
  std::vector<Side> sides;
  sides.push_back({"LaVIN", with_adapters(bare, {}), {}, {}});
  sides.push_back({"LaVIN-EAS, not folded", with_adapters(bare, skipped), plan_without(skipped), {}});
  sides.push_back({"LaVIN-EAS, folded", sharing(bare), plan_without(skipped), {}});
  sides.push_back({"without adapters", sharing(bare), {}, {}});
  sides.push_back({"LaVIN again", sharing(sides.front().model), {}, {}});
  return sides;
}

void measure(Side& side, int64_t tokens, int64_t decode_tokens) {
  Bench bench(side.model, {.vision_tokens = kVision, .text_tokens = tokens - kVision});
  side.times.prefill.push_back(bench.prefill(side.plan).ms);
  side.times.decode.push_back(bench.decode_ms(side.plan, decode_tokens));
}

void print(const std::vector<Side>& sides, int64_t tokens) {
  std::printf("%lld tokens            prefill: median    minimum  of LaVIN   decode: median  minimum  of LaVIN\n",
              static_cast<long long>(tokens));
  const Times& lavin = sides.front().times;
  for (const Side& side : sides) {
    const Times& times = side.times;
    std::printf("%-22s %12.0f ms %7.0f ms %8.3f %12.1f ms %5.1f ms %8.3f\n", side.name.c_str(), median(times.prefill),
                least(times.prefill), median(times.prefill) / median(lavin.prefill), median(times.decode),
                least(times.decode), median(times.decode) / median(lavin.decode));
  }
  std::fflush(stdout);
}

void compare(const models::Model& bare, const Options& options) {
  for (const int64_t tokens : options.tokens) {
    std::vector<Side> sides = sides_of(bare);
    for (int64_t round = -1; round < options.rounds; ++round) {  // the first warms up
      if (round == 0)
        for (Side& side : sides) side.times = {};
      for (Side& side : sides) measure(side, tokens, options.decode_tokens);
    }
    print(sides, tokens);
  }
}

/// One layer's share of folding by dense products: W (I + M A) for each product W that reads the adapter's rows.
double rebuild_ms(const std::vector<int64_t>& outs) {
  const Tensor map = at::randn({kWidth, kWidth}, at::kFloat);
  std::vector<Tensor> weights;
  for (const int64_t out : outs) weights.push_back(at::randn({out, kWidth}, at::kFloat));
  const Stopwatch clock;
  for (const Tensor& weight : weights) at::mm(weight, map);
  return clock.elapsed_ms();
}

void print_rebuilt() {
  rebuild_ms({kWidth});
  std::printf(
      "rebuilt for each prompt by dense products: %.0f ms a kept attention (q, k, v), %.0f ms a skipped one (gate, "
      "up)\n",
      rebuild_ms({kWidth, kWidth, kWidth}), rebuild_ms({kFeedForward, kFeedForward}));
}

void run(const Options& options) {
  const c10::InferenceMode no_gradients;
  const auto bare = models::random_model("llava-1.5-7b", options.layers, 1, options.weights, 1);
  std::printf("%lld layers, %zu without attention; vector set %s, %d threads, load %.2f, %lld rounds\n",
              static_cast<long long>(options.layers), skipped_layers(options.layers).size(), name_of(vector_set()),
              at::get_num_threads(), load(), static_cast<long long>(options.rounds));
  compare(*bare, options);
  print_rebuilt();
  std::printf("load %.2f after\n", load());
}

}  // namespace
}  // namespace lithe::session

int main(int count, char** arguments) {
  return lithe::bench::exit_code([&] { lithe::session::run(lithe::session::parse(count, arguments)); });
}

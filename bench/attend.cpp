// Times attention over cached keys: our kernels beside LibTorch's, called sequence by sequence over contiguous float32
// keys and under masks of 256 rows. Interleaved rounds; the results are compared before anything is timed.
//   build/release/bin/bench_attend [ROUNDS]
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <c10/core/InferenceMode.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/vector_set.h"
#include "ops/attend.h"

namespace lithe::ops {
namespace {

struct Case {
  const char* name;
  int64_t sequences, held, queries, heads, kv_heads;
  bool fresh = false;  // no cache: the keys of the pass itself
  bool causal = true;
  int64_t width = 128;
};

constexpr Case kCases[] = {
    {"decode, 1 sequence, 616 keys", 1, 615, 1, 32, 32},
    {"decode, 1 sequence, 2,900 keys", 1, 2899, 1, 32, 32},
    {"decode, 16 sequences, 2,900 keys", 16, 2899, 1, 32, 32},
    {"decode, 16 sequences, 2,900 keys, 8 kv heads", 16, 2899, 1, 32, 8},
    {"tail of 20 after 3,000", 1, 3000, 20, 32, 32},
    {"tail of 600 after 3,000", 1, 3000, 600, 32, 32},
    {"tail of 600 after 3,000, 8 kv heads", 1, 3000, 600, 32, 8},
    {"prompt of 616", 1, 0, 616, 32, 32, true},
    {"prompt of 2,920", 1, 0, 2920, 32, 32, true},
    {"prompt of 2,920, 8 kv heads", 1, 0, 2920, 32, 8, true},
    {"vision tower, 577 rows", 1, 0, 577, 16, 16, true, false, 64},
};

/// How keys and values may be cached.
constexpr std::pair<KeyValueKind, const char*> kKinds[] = {
    {KeyValueKind::float32, "float32"}, {KeyValueKind::bfloat16, "bfloat16"}, {KeyValueKind::int8, "int8"}};

/// One sequence's keys and values, both ways.
struct Keys {
  Tensor keys, values;  // [rows, kv_heads, head_dim]
  std::vector<int64_t> positions;
  std::map<KeyValueKind, std::vector<Tensor>> blocks;
};

std::vector<Tensor> blocks_of(const Keys& all, KeyValueKind kind) {
  std::vector<Tensor> blocks;
  for (int64_t first = 0; first < all.keys.size(0); first += kBlockRows) {
    const int64_t rows = std::min(kBlockRows, all.keys.size(0) - first);
    blocks.push_back(empty_block(all.keys, kind));
    store_rows(blocks.back(), 0, all.keys.narrow(0, first, rows), all.values.narrow(0, first, rows));
  }
  return blocks;
}

Tensor before_block(const Tensor& queries, const Tensor& keys, const Tensor& values, const std::optional<Tensor>& mask,
                    bool causal, double scale) {
  const int64_t rows = queries.size(0), heads = queries.size(1), width = queries.size(2), kv_heads = keys.size(1);
  const int64_t group = heads / kv_heads;
  if (group == 1) {
    const auto lay = [](const Tensor& x) { return x.transpose(0, 1).unsqueeze(0); };
    return at::scaled_dot_product_attention(lay(queries), lay(keys), lay(values), mask, 0.0, causal, scale)
        .squeeze(0)
        .transpose(0, 1);
  }
  const auto share = [&](const Tensor& x) {
    return x.transpose(0, 1).unsqueeze(1).expand({kv_heads, group, x.size(0), width});
  };
  const Tensor q = queries.view({rows, kv_heads, group, width}).permute({1, 2, 0, 3});
  const Tensor out = at::scaled_dot_product_attention(q, share(keys), share(values), mask, 0.0, causal, scale);
  return out.permute({2, 0, 1, 3}).reshape({rows, heads, width});
}

Tensor before(const Case& what, const Tensor& queries, const std::vector<Keys>& all, double scale) {
  std::vector<Tensor> parts;
  for (int64_t i = 0; i < what.sequences; ++i) {
    const Keys& own = all[static_cast<size_t>(i)];
    const std::vector<int64_t> positions = own.positions;
    const Tensor mine = queries.narrow(0, i * what.queries, what.queries);
    const bool square = what.held == 0 || what.queries == 1;
    const int64_t step = square ? what.queries : 256;
    for (int64_t first = 0; first < what.queries; first += step) {
      const int64_t rows = std::min(step, what.queries - first),
                    seen = square ? own.keys.size(0) : what.held + first + rows;
      std::optional<Tensor> mask;
      if (!square) {
        mask = at::full({rows, seen}, -std::numeric_limits<float>::infinity(), at::kFloat);
        for (int64_t row = 0; row < rows; ++row) {
          float* line = mask->mutable_data_ptr<float>() + row * seen;
          std::fill(line, line + what.held + first + row + 1, 0.0f);
        }
      }
      parts.push_back(before_block(mine.narrow(0, first, rows), own.keys.narrow(0, 0, seen),
                                   own.values.narrow(0, 0, seen), mask, what.causal && square && rows > 1, scale));
    }
  }
  return parts.size() == 1 ? parts.front().contiguous() : at::cat(parts);
}

Tensor after(const Case& what, const Tensor& queries, const std::vector<Keys>& all, double scale, KeyValueKind kind) {
  std::vector<int64_t> offsets, positions;
  std::vector<KeyValueView> views;
  for (int64_t i = 0; i <= what.sequences; ++i) offsets.push_back(i * what.queries);
  for (const Keys& own : all) {
    positions.insert(positions.end(), own.positions.end() - what.queries, own.positions.end());
    KeyValueView& view = views.emplace_back();
    if (what.fresh)
      view.fresh = {own.keys, own.values, own.positions};
    else
      view.held = {own.blocks.at(kind), own.positions};
  }
  return attend_packed({queries, offsets, positions}, views, {.scale = scale, .causal = what.causal});
}

double median(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

void run(const Case& what, int rounds) {
  const int64_t length = what.held + what.queries;
  std::vector<Keys> all;
  for (int64_t i = 0; i < what.sequences; ++i) {
    Keys& own = all.emplace_back();
    own.keys = at::randn({length, what.kv_heads, what.width}, at::kFloat);
    own.values = at::randn({length, what.kv_heads, what.width}, at::kFloat);
    own.positions.resize(static_cast<size_t>(length));
    std::iota(own.positions.begin(), own.positions.end(), 0);
    if (what.fresh) continue;
    for (const auto& [kind, name] : kKinds) own.blocks[kind] = blocks_of(own, kind);
  }
  const Tensor queries = at::randn({what.sequences * what.queries, what.heads, what.width}, at::kFloat);
  const double scale = 1 / std::sqrt(static_cast<double>(what.width));
  std::vector<std::function<Tensor()>> ways{[&] { return before(what, queries, all, scale); },
                                            [&] { return after(what, queries, all, scale, KeyValueKind::float32); }};
  for (const auto& [kind, name] : kKinds) {
    if (!what.fresh && kind != KeyValueKind::float32)
      ways.emplace_back([&, kind = kind] { return after(what, queries, all, scale, kind); });
  }
  std::vector<std::vector<double>> times(ways.size());
  const Tensor expected = ways[0]();
  std::vector<double> off;
  for (size_t i = 1; i < ways.size(); ++i) off.push_back((ways[i]() - expected).abs().max().item<double>());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < ways.size(); ++i) {
      const Stopwatch clock;
      ways[i]();
      times[i].push_back(clock.elapsed_ms());
    }
  }
  const auto least = [&](size_t i) { return *std::min_element(times[i].begin(), times[i].end()); };
  std::printf("%-46s LibTorch %8.2f ms, own %8.2f ms: %5.2fx (minima %5.2fx)", what.name, median(times[0]),
              median(times[1]), median(times[0]) / median(times[1]), least(0) / least(1));
  for (size_t i = 2; i < ways.size(); ++i)
    std::printf(", %s %8.2f ms: %5.2fx over float32 (minima %5.2fx)", kKinds[i - 1].second, median(times[i]),
                median(times[1]) / median(times[i]), least(1) / least(i));
  std::printf("; largest difference");
  for (const double one : off) std::printf(" %.1e", one);
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace
}  // namespace lithe::ops

int main(int count, char** arguments) {
  const c10::InferenceMode no_gradients;
  const int rounds = count > 1 ? std::atoi(arguments[1]) : 9;
  const std::string only = count > 2 ? arguments[2] : "";
  double load[1] = {0};
  getloadavg(load, 1);
  std::printf("vector set %s, %d threads, load %.2f, %d rounds, medians\n", lithe::name_of(lithe::vector_set()),
              at::get_num_threads(), load[0], rounds);
  for (const lithe::ops::Case& what : lithe::ops::kCases) {
    if (std::string(what.name).find(only) != std::string::npos) lithe::ops::run(what, rounds);
  }
  getloadavg(load, 1);
  std::printf("load %.2f at the end\n", load[0]);
}

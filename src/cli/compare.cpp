#include "cli/compare.h"

#include <fmt/format.h>
#include <cmath>
#include <optional>
#include <utility>

#include "base/error.h"
#include "cli/parameters.h"
#include "cli/statistics.h"

namespace lithe::cli {
namespace {

std::vector<double> both(const Phase& phase) {
  std::vector<double> all = phase.reference;
  all.insert(all.end(), phase.again.begin(), phase.again.end());
  return all;
}

void check_rows(const session::PrefillResult& result, const std::vector<plan::LayerCost>& layers,
                const std::string& plan) {
  for (std::size_t l = 0; l < layers.size(); ++l) {
    require(l < result.rows_held.size() && result.rows_held[l] == layers[l].rows.cache, Fault::internal, "Layer ", l,
            " holds ", l < result.rows_held.size() ? result.rows_held[l] : 0, " tokens in its KV cache, but the plan '",
            plan, "' counts ", layers[l].rows.cache, ".");
  }
}

plan::CostTable count(const session::Session& session, const plan::Plan& plan, const session::BenchPrompt& prompt,
                      int64_t tiles) {
  const plan::PromptShape shape{.vision_tokens = prompt.vision_tokens,
                                .high_res_tokens = prompt.high_res_tokens,
                                .text_tokens = prompt.text_tokens,
                                .text_before = prompt.text_tokens / 2,
                                .tiles = tiles};
  return plan::cost(plan, session.facts(), shape, session.counting());
}

/// One run of a plan: prefill if it is timed, then the decode after it.
session::PrefillResult time_once(session::Bench& bench, const plan::Plan& plan,
                                 const std::vector<plan::LayerCost>& layers, const CompareOptions& options,
                                 std::vector<double>& prefill, std::vector<double>& decode) {
  session::PrefillResult result;
  if (options.prefills) {
    result = bench.prefill(plan);
    prefill.push_back(result.ms);
  } else {
    std::vector<int64_t> rows;
    for (const plan::LayerCost& layer : layers) rows.push_back(layer.rows.cache);
    result = bench.make_up_cache(plan, rows);
  }
  decode.push_back(bench.decode_ms(plan, options.decode_steps));
  check_rows(result, layers, plan.name);
  return result;
}

session::PrefillResult time_feed_forward(session::Bench& bench, const CompareOptions& options,
                                         std::vector<double>& prefill, std::vector<double>& decode) {
  if (options.prefills) prefill.push_back(bench.feed_forward_prefill_ms());
  decode.push_back(bench.feed_forward_decode_ms(options.decode_steps));
  return {};  // it holds nothing
}

void require_feed_forward_alone(const plan::CostTable& cost, int64_t rows) {
  for (const plan::LayerCost& layer : cost.layers) {
    require(layer.rows.query + layer.rows.key_value == 0 && layer.rows.feed_forward == rows, Fault::bad_request,
            "The plan '", cost.plan, "' runs more or less than the feed-forward network in decoder layer ", layer.layer,
            "; --against feed-forward needs a plan without attentions and rules, such as {\"method\": \"eas\", "
            "\"layers\": [0, 1, ..]}.");
  }
}

/// The other model's dense run in place of the model's own.
void take_dense_of(const session::Session& other, const session::BenchPrompt& prompt, int64_t tiles,
                   Comparison& result) {
  plan::CostTable cost = count(other, {}, prompt, tiles);
  result.reference = "dense of " + other.facts().name;
  result.cost.dense = cost.dense;
  result.cost.dense_layers = std::move(cost.dense_layers);
}

void forget(Phase& phase) {
  phase.reference.clear();
  phase.again.clear();
  phase.skipped.clear();
}

void require_runs_dense(const plan::ModelFacts& facts) {
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    require(!facts.is_fixed("decoder", layer, "self"), Fault::bad_request, "The weights of '", facts.name,
            "' can't run dense, since decoder layer ", layer,
            " has no attention; name a model that can with --dense-model, such as the one that it was tuned from.");
  }
}

/// The reference runs on `beside`. All rounds, into the times and bytes of `result`.
void time_rounds(session::Bench& bench, session::Bench& beside, const plan::Plan& plan, const CompareOptions& options,
                 Comparison& result) {
  const plan::Plan dense;
  const bool alone = options.reference == Reference::feed_forward;
  Phase &prefill = result.prefill, &decode = result.decode;
  const auto time_reference = [&](std::vector<double>& prefill_ms, std::vector<double>& decode_ms) {
    return alone ? time_feed_forward(beside, options, prefill_ms, decode_ms)
                 : time_once(beside, dense, result.cost.dense_layers, options, prefill_ms, decode_ms);
  };
  for (int64_t round = -options.warm_up; round < options.rounds; ++round) {
    const auto tell = [&](const std::string& what) {
      const std::string turn = round < 0 ? "warm-up" : fmt::format("round {} of {}", round + 1, options.rounds);
      if (options.on_progress) options.on_progress(fmt::format("{}, {}", turn, what));
    };
    if (round == 0) {
      forget(prefill);
      forget(decode);
      result.image_ms.clear();
    }
    if (options.tiles > 0) {
      tell("vision tower");
      result.image_ms.push_back(bench.encode_ms(options.tiles));
    }
    tell(result.reference);
    const auto a = time_reference(prefill.reference, decode.reference);
    tell(result.plan);
    const auto b = time_once(bench, plan, result.cost.layers, options, prefill.skipped, decode.skipped);
    tell(result.reference + " again");
    time_reference(prefill.again, decode.again);
    result.reference_kv_bytes = a.bytes_held;
    result.plan_kv_bytes = b.bytes_held;
    if (!alone) decode.read_share = static_cast<double>(b.bytes_read) / static_cast<double>(a.bytes_read);
  }
  // Each decode time is a mean per step; a phase is of all its tokens.
  for (auto* times : {&decode.reference, &decode.again, &decode.skipped}) {
    for (double& ms : *times) ms *= static_cast<double>(options.decode_steps);
  }
}

}  // namespace

double Phase::median_ratio() const {
  return median(skipped) / median(both(*this));
}
double Phase::minimum_ratio() const {
  return minimum(skipped) / minimum(both(*this));
}
double Phase::equal_spread() const {
  return std::abs(median(again) / median(reference) - 1);
}

Comparison compare(const session::Session& session, const plan::Plan& plan, const session::BenchPrompt& prompt,
                   const CompareOptions& options) {
  require(options.rounds >= 1 && options.warm_up >= 0 && options.decode_steps >= 1, Fault::bad_request,
          "A benchmark needs at least one round and one decode step.");
  const bool alone = options.reference == Reference::feed_forward;
  const session::Session& other = options.dense_model ? *options.dense_model : session;
  Comparison result{.plan = plan.name, .reference = alone ? "feed-forward" : "dense"};
  result.cost = count(session, plan, prompt, options.tiles);
  if (!alone) require_runs_dense(other.facts());
  if (options.dense_model) take_dense_of(other, prompt, options.tiles, result);
  const int64_t rows = prompt.vision_tokens + prompt.text_tokens, batch = prompt.sequences;
  const std::string together = batch > 1 ? fmt::format(" x{}", batch) : "";
  const plan::CostTable& cost = result.cost;
  if (alone) require_feed_forward_alone(cost, rows);
  result.prefill = {.test = fmt::format("pp{}{}", rows, together), .rows = rows * batch};
  result.decode = {.test = fmt::format("tg{}{}", options.decode_steps, together), .rows = options.decode_steps * batch};
  if (!alone) {
    result.prefill.counted_share = (cost.total.decoder + cost.total.head) / (cost.dense.decoder + cost.dense.head);
    result.decode.counted_share =
        decode_flops(session.facts(), cost.layers) / decode_flops(other.facts(), cost.dense_layers);
  }
  session::Bench bench(session.model(), prompt);
  std::optional<session::Bench> beside;
  if (options.dense_model) beside.emplace(other.model(), prompt);
  time_rounds(bench, beside ? *beside : bench, plan, options, result);
  return result;
}

}  // namespace lithe::cli

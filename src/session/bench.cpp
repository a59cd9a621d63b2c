#include "session/bench.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>

#include <numeric>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "models/model.h"
#include "session/device_wait.h"
#include "session/finite.h"
#include "session/generation.h"
#include "session/prompt_rows.h"
#include "session/storage.h"

namespace lithe::session {
namespace {

/// Time until the last result is there.
double elapsed_ms(const Stopwatch& clock, const Tensor& result) {
  wait_for(result);
  return clock.elapsed_ms();
}

/// Half of the text before the picture, as a system prompt; the other half after it, as the question.
std::vector<routing::RowKind> kinds_of(const BenchPrompt& prompt) {
  using routing::RowKind;
  std::vector<RowKind> kinds(static_cast<size_t>(prompt.text_tokens / 2), RowKind::text);
  kinds.insert(kinds.end(), static_cast<size_t>(prompt.vision_tokens - prompt.high_res_tokens), RowKind::vision);
  kinds.insert(kinds.end(), static_cast<size_t>(prompt.high_res_tokens), RowKind::vision_high_res);
  kinds.insert(kinds.end(), static_cast<size_t>(prompt.text_tokens - prompt.text_tokens / 2), RowKind::text);
  return kinds;
}

}  // namespace

struct Bench::State {
  const models::Model& model;
  int64_t sequences = 1;
  std::vector<routing::RowKind> kinds;  // of one sequence
  Tensor rows;                          // [all rows, hidden]
  at::Generator generator;
  std::vector<Generation> generations;
  const plan::Plan* prefilled = nullptr;

  /// x: [rows, hidden] -> the same, after every feed-forward network
  Tensor feed_forward(Tensor x) const {
    for (const routing::Block& block : model.decoder.blocks) {
      const routing::Site& site = *block.find(routing::Site::Kind::feed_forward);
      x = x + std::get<nn::Mlp>(site.branch)(site.norm(x));
    }
    return x;
  }

  Tensor first_ids() const { return at::ones({sequences}, at::TensorOptions(at::kLong)).to(rows.device()); }

  /// The last row of every sequence.  x: [all rows alive, hidden]
  Tensor last_rows(const Tensor& x) const { return x.view({sequences, -1, x.size(1)}).select(1, -1); }
};

namespace {

/// Bytes of the weights that a decoded row goes through: of the layers what the plan leaves, and the head.
int64_t weights_read(const models::Model& model, const plan::Plan& plan) {
  int64_t bytes = model.decoder.head.weight.bytes();
  visit(model, [&](const models::HeldWeight& held) {
    if (held.name.part != models::Part::decoder || !held.name.in_layer()) return;
    const plan::LayerPlan* entry = plan.find("decoder", held.name.layer);
    const bool off = entry && !entry->self_attention && is_attention(held.name.role);
    if (!off) bytes += held.weight.bytes();
  });
  return bytes;
}

}  // namespace

Bench::Bench(const models::Model& model, const BenchPrompt& prompt) {
  require(
      prompt.text_tokens > 0 && prompt.high_res_tokens >= 0 && prompt.vision_tokens >= prompt.high_res_tokens,
      Fault::bad_request,
      "bench: the prompt needs at least one text token, and its high-resolution tokens are among its vision tokens");
  at::Generator generator = at::detail::createCPUGenerator(prompt.seed);
  require(prompt.sequences >= 1, Fault::bad_request, "bench: the batch size is ", prompt.sequences,
          ", it must be at least 1");
  require_room(model, prompt.vision_tokens + prompt.text_tokens);
  const int64_t rows = prompt.sequences * (prompt.vision_tokens + prompt.text_tokens);
  Tensor x = at::randn({rows, model.decoder.config.hidden}, generator, at::TensorOptions(at::kFloat))
                 .to(model.decoder.embeddings.device());
  state_ = std::unique_ptr<State>(
      new State{model, prompt.sequences, kinds_of(prompt), std::move(x), std::move(generator), {}, nullptr});
}

Bench::~Bench() = default;

double Bench::encode_ms(int64_t tiles) {
  const c10::InferenceMode no_gradients;
  const models::Vision& vision = state_->model.seeing();
  const image::Size size = vision.tower.config.image;
  const Tensor pixels = at::randn({tiles, 3, size.height, size.width}, state_->generator, at::TensorOptions(at::kFloat))
                            .to(state_->rows.device());
  wait_for(pixels);
  const Stopwatch clock;
  const Tensor features = vision.tower.features(pixels);
  const Tensor rows = vision.projector(features.flatten(0, 1));
  const double ms = elapsed_ms(clock, rows);
  require_finite(state_->model, rows, "the projected features of a picture");
  return ms;
}

PrefillResult Bench::prefill(const plan::Plan& plan) {
  const c10::InferenceMode no_gradients;
  State& state = *state_;
  state.generations.clear();  // before the next caches are made, so that never two sets are held
  const auto owned = std::make_shared<const plan::Plan>(plan);
  const Stopwatch clock;
  routing::Batch batch;
  state.generations.reserve(static_cast<size_t>(state.sequences));
  for (int64_t i = 0; i < state.sequences; ++i) {
    Generation& generation = state.generations.emplace_back(state.model, owned);
    // Rows are random, so any vision row is as good as another.
    generation.score_pictures(std::make_shared<const std::vector<float>>(state.kinds.size(), 0.0f));
    generation.enter_prompt(batch, state.kinds);
  }
  const Tensor hidden = state.model.decoder.forward(std::move(batch), state.rows);
  const Tensor logits = state.model.decoder.logits(state.last_rows(hidden));
  const double ms = elapsed_ms(clock, logits);
  require_finite(state.model, logits, "the logits after the prefill");
  state.prefilled = &plan;
  PrefillResult result = held_under(plan);
  result.ms = ms;
  return result;
}

PrefillResult Bench::make_up_cache(const plan::Plan& plan, const std::vector<int64_t>& rows) {
  const c10::InferenceMode no_gradients;
  State& state = *state_;
  const models::DecoderConfig& config = state.model.decoder.config;
  const at::ScalarType type = state.model.decoder.head.weight.input_type(state.rows);  // as products give keys
  state.generations.clear();
  const auto owned = std::make_shared<const plan::Plan>(plan);
  state.generations.reserve(static_cast<size_t>(state.sequences));
  std::vector<int64_t> positions(state.kinds.size());
  std::iota(positions.begin(), positions.end(), 0);
  for (int64_t i = 0; i < state.sequences; ++i) {
    routing::Batch batch;
    state.generations.emplace_back(state.model, owned).enter_prompt(batch, state.kinds);
    for (size_t layer = 0; layer < rows.size(); ++layer) {
      const Tensor made_up =
          at::randn({rows[layer], config.kv_heads, config.head_dim}, state.generator, at::TensorOptions(at::kFloat))
              .to(state.rows.device(), type);
      batch.sequences[0].states[layer].append(made_up, made_up,
                                              std::span(positions).first(static_cast<size_t>(rows[layer])));
    }
  }
  state.prefilled = &plan;
  return held_under(plan);
}

PrefillResult Bench::held_under(const plan::Plan& plan) const {
  PrefillResult result{.rows_held = state_->generations.front().rows_held()};
  for (const Generation& generation : state_->generations) result.bytes_held += generation.bytes_held();
  result.bytes_read = weights_read(state_->model, plan) + result.bytes_held;
  return result;
}

double Bench::decode_ms(const plan::Plan& plan, int64_t steps) {
  const c10::InferenceMode no_gradients;
  State& state = *state_;
  require(state.prefilled == &plan && steps > 0, Fault::internal,
          "Bench::decode_ms: call prefill with the same plan first");
  const auto rows = static_cast<int64_t>(state.kinds.size());
  require(steps <= room_after(state.model, rows), Fault::bad_request, "bench: ", steps, " new tokens after ", rows,
          " of the prompt are asked for, and the model takes ", longest_sequence(state.model), " in all");
  for (Generation& generation : state.generations) generation.reserve(steps);
  const Generation::Mark prompt = state.generations.front().mark();
  const Tensor ids = state.first_ids();
  Tensor logits;
  wait_for(ids);
  const Stopwatch clock;
  for (int64_t i = 0; i < steps; ++i) {
    routing::Batch batch;
    for (Generation& generation : state.generations) generation.enter_tokens(batch);
    logits = state.model.decoder.logits(state.model.decoder.forward(std::move(batch), state.model.decoder.embed(ids)));
  }
  const double ms = elapsed_ms(clock, logits) / static_cast<double>(steps);
  require_finite(state.model, logits, "the logits of a decode step");
  for (Generation& generation : state.generations) generation.rewind(prompt);
  return ms;
}

double Bench::feed_forward_prefill_ms() {
  const c10::InferenceMode no_gradients;
  const Stopwatch clock;
  return elapsed_ms(clock, state_->model.decoder.logits(state_->last_rows(state_->feed_forward(state_->rows))));
}

double Bench::feed_forward_decode_ms(int64_t steps) {
  const c10::InferenceMode no_gradients;
  const models::Decoder& decoder = state_->model.decoder;
  const Tensor ids = state_->first_ids();
  Tensor logits;
  const Stopwatch clock;
  for (int64_t i = 0; i < steps; ++i) logits = decoder.logits(state_->feed_forward(decoder.embed(ids)));
  return elapsed_ms(clock, logits) / static_cast<double>(steps);
}

Session random_session(const RandomModel& what) {
  const Arithmetic arithmetic = arithmetic_of(what.kv, what.compute, what.device);
  std::unique_ptr<models::Model> model = models::random_model(what.shape, what.layers, what.tower_layers,
                                                              storage_named(what.weights), what.seed, what.device);
  arithmetic.give_to(*model);
  return Session(std::move(model));
}

}  // namespace lithe::session

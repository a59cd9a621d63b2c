#include "session/bench.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>

#include "base/clock.h"
#include "base/error.h"
#include "models/model.h"
#include "session/generation.h"

namespace lithe::session {
namespace {

/// Half of the text in front of the picture, as a system prompt stands; the question behind it.
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
  std::vector<routing::RowKind> kinds;
  Tensor rows;  // [rows, hidden]
  at::Generator generator;
  std::unique_ptr<Generation> generation;
  const plan::Plan* prefilled = nullptr;
};

Bench::Bench(const models::Model& model, const BenchPrompt& prompt) {
  require(
      prompt.text_tokens > 0 && prompt.high_res_tokens >= 0 && prompt.vision_tokens >= prompt.high_res_tokens,
      Fault::bad_request,
      "bench: the prompt needs at least one text token, and its high-resolution tokens are among its vision tokens");
  at::Generator generator = at::detail::createCPUGenerator(prompt.seed);
  const int64_t rows = prompt.vision_tokens + prompt.text_tokens;
  Tensor x = at::randn({rows, model.decoder.config.hidden}, generator, at::TensorOptions(at::kFloat))
                 .to(model.decoder.embeddings.device());
  state_ =
      std::unique_ptr<State>(new State{model, kinds_of(prompt), std::move(x), std::move(generator), nullptr, nullptr});
}

Bench::~Bench() = default;

double Bench::encode_ms(int64_t tiles) {
  const c10::InferenceMode no_gradients;
  const int64_t side = state_->model.tower.config.image_px;
  const Tensor pixels = at::randn({tiles, 3, side, side}, state_->generator, at::TensorOptions(at::kFloat));
  const Stopwatch clock;
  const Tensor features = state_->model.tower.features(pixels);
  state_->model.projector(features.flatten(0, 1));
  return clock.elapsed_ms();
}

PrefillResult Bench::prefill(const plan::Plan& plan) {
  const c10::InferenceMode no_gradients;
  state_->generation.reset();  // before the next cache is made, so that never two are held
  const Stopwatch clock;
  state_->generation = std::make_unique<Generation>(state_->model, plan);
  const Tensor hidden = state_->generation->prefill(state_->rows, state_->kinds);
  state_->model.decoder.logits(hidden.narrow(0, hidden.size(0) - 1, 1));
  state_->prefilled = &plan;
  return {clock.elapsed_ms(), state_->generation->rows_held(), state_->generation->bytes_held()};
}

double Bench::decode_ms(const plan::Plan& plan, int64_t steps) {
  const c10::InferenceMode no_gradients;
  require(state_->prefilled == &plan && steps > 0, Fault::internal,
          "Bench::decode_ms: call prefill with the same plan first");
  state_->generation->reserve(steps);
  const Generation::Mark prompt = state_->generation->mark();
  const Stopwatch clock;
  for (int64_t i = 0; i < steps; ++i) state_->model.decoder.logits(state_->generation->step(1));
  const double ms = clock.elapsed_ms() / static_cast<double>(steps);
  state_->generation->rewind(prompt);
  return ms;
}

Session random_session(const std::string& shape, int64_t layers, int64_t tower_layers, const std::string& weights,
                       uint64_t seed) {
  const models::WeightStorage storage = weights == "bfloat16"  ? models::WeightStorage::bfloat16
                                        : weights == "float16" ? models::WeightStorage::float16
                                                               : models::WeightStorage::float32;
  return Session(models::random_model(shape, layers, tower_layers, storage, seed));
}

}  // namespace lithe::session

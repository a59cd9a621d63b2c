#include "session/answer.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "plan/validate.h"
#include "session/generation.h"
#include "session/prompt_rows.h"
#include "session/stop_filter.h"

namespace lithe::session {
namespace {

constexpr int64_t kDefaultNewTokens = 512;

int64_t token_budget(const models::Model& model, const PromptRows& prompt, const AnswerOptions& options) {
  const int64_t wanted = options.max_new_tokens.value_or(model.generation.max_new_tokens.value_or(kDefaultNewTokens));
  require(wanted >= 1, Fault::bad_request, "the number of new tokens is ", wanted, ", it must be at least 1");
  const int64_t longest = model.decoder.config.max_positions;
  return longest == 0 ? wanted : std::min(wanted, longest - prompt.rows());
}

bool is_eos(const models::Model& model, int64_t id) {
  const std::vector<int64_t>& ids = model.prompt.eos_ids;
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

/// Collects which vision rows of every picture each layer ran, for layers that left some out.
class KeptRecorder {
 public:
  explicit KeptRecorder(const PromptRows& prompt) : prompt_(prompt), maps_(prompt.images.size()) {
    for (size_t i = 0; i < maps_.size(); ++i) maps_[i].views = prompt.images[i].heat_views;
  }

  void operator()(const routing::LayerReport& report) {
    const std::vector<int64_t> ran = positions_run(report);
    if (static_cast<int64_t>(ran.size()) == prompt_.rows()) return;
    for (size_t i = 0; i < maps_.size(); ++i) {
      const int64_t first = prompt_.image_first_row[i], count = prompt_.images[i].rows.size(0);
      image::LayerKept kept{.layer = report.layer, .kept = {}, .total = count};
      const auto begin = std::lower_bound(ran.begin(), ran.end(), first), end = std::lower_bound(ran.begin(), ran.end(), first + count);
      std::transform(begin, end, std::back_inserter(kept.kept), [first](int64_t position) { return position - first; });
      maps_[i].layers.push_back(std::move(kept));
    }
  }

  std::vector<KeptMap> take() { return std::move(maps_); }

 private:
  const PromptRows& prompt_;
  std::vector<KeptMap> maps_;
};

/// Text and tokens of an answer as they come.
class AnswerText {
 public:
  AnswerText(const models::Model& model, const AnswerOptions& options, Answer& answer)
      : stream_(*model.tokenizer), filter_(stops(model, options)), options_(options), answer_(answer) {}

  /// False when the answer is over.
  bool push(int64_t id) { return emit(filter_.push(stream_.push(id))); }

  void finish() {
    emit(filter_.push(stream_.finish()));
    emit(filter_.finish());
  }

 private:
  static std::vector<std::string> stops(const models::Model& model, const AnswerOptions& options) {
    std::vector<std::string> all = model.prompt.stop_strings;
    all.insert(all.end(), options.stop.begin(), options.stop.end());
    return options.ignore_eos ? options.stop : all;
  }

  bool emit(const std::string& piece) {
    answer_.text += piece;
    if (!piece.empty() && options_.on_text && !options_.on_text(piece)) answer_.stop = StopReason::cancelled;
    if (filter_.stopped() && answer_.stop == StopReason::length) answer_.stop = StopReason::stop_string;
    return answer_.stop == StopReason::length;
  }

  text::TextStream stream_;
  StopFilter filter_;
  const AnswerOptions& options_;
  Answer& answer_;
};

void decode(const models::Model& model, const PromptRows& prompt, const AnswerOptions& options, Tensor last, Generation& generation, Answer& answer) {
  const SamplingPolicy policy = options.sampling.value_or(SamplingPolicy{});
  check(policy);
  std::mt19937_64 generator(policy.seed);
  const int64_t budget = token_budget(model, prompt, options);
  std::vector<int64_t> seen = prompt.ids;
  AnswerText text(model, options, answer);
  Stopwatch clock;
  generation.reserve(budget);
  while (true) {
    const Tensor logits = model.decoder.logits(last).to(at::kCPU).contiguous();  // [1, vocab]
    const std::span<const float> scores(logits.const_data_ptr<float>(), static_cast<size_t>(logits.numel()));
    const int64_t id = sample(scores, seen, policy, generator);
    if (answer.tokens.empty()) {
      answer.timings.prefill_ms += clock.elapsed_ms();
      clock = {};
    }
    answer.tokens.push_back(id);
    answer.token_logits.push_back(scores[static_cast<size_t>(id)]);
    seen.push_back(id);
    if (!options.ignore_eos && is_eos(model, id)) {
      answer.stop = StopReason::eos;
      break;
    }
    if (!text.push(id) || static_cast<int64_t>(answer.tokens.size()) >= budget) break;
    last = generation.step(id);
  }
  text.finish();
  answer.timings.decode_ms = clock.elapsed_ms();
  answer.timings.decoded_tokens = static_cast<int64_t>(answer.tokens.size()) - 1;
}

}  // namespace

const plan::Plan& plan_of(const models::Model& model, const Request& request) {
  if (!request.plan) return model.plan;
  plan::validate(*request.plan, model.facts);
  return *request.plan;
}

Answer run_answer(const models::Model& model, const Request& request, const AnswerOptions& options) {
  const c10::InferenceMode no_gradients;
  const plan::Plan& plan = plan_of(model, request);
  Answer answer;
  Stopwatch clock;
  const PromptRows prompt = build_prompt(model, request);
  answer.timings.image_ms = clock.elapsed_ms();
  answer.timings.prompt_rows = prompt.rows();
  answer.timings.vision_rows = prompt.vision_rows();

  clock = {};
  Generation generation(model, plan);
  KeptRecorder recorder(prompt);
  const Tensor hidden = generation.prefill(prompt.embeddings, prompt.kinds, std::ref(recorder));
  answer.timings.prefill_ms = clock.elapsed_ms();
  answer.cache.rows_after_prefill = generation.rows_held();
  answer.cache.bytes_after_prefill = generation.bytes_held();
  answer.kept = recorder.take();

  decode(model, prompt, options, hidden.narrow(0, hidden.size(0) - 1, 1), generation, answer);
  answer.cache.rows_at_end = generation.rows_held();
  answer.cache.bytes_at_end = generation.bytes_held();
  return answer;
}

}  // namespace lithe::session

#include "session/answering.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "models/lora_over.h"
#include "routing/index_tensor.h"
#include "session/answer.h"
#include "session/chunks.h"
#include "session/counted_cost.h"
#include "session/device_wait.h"
#include "session/errors.h"
#include "session/finite.h"
#include "session/given_answer.h"
#include "session/token_rating.h"
#include "session/token_rules.h"
#include "session/watch.h"

namespace lithe::session {
namespace {

constexpr int64_t kDefaultNewTokens = 512;
constexpr int64_t kLogits = int64_t{2} << 20;  // of a given answer, at a time

int64_t budget_of(const models::Model& model, int64_t prompt_rows, const AnswerOptions& options) {
  const int64_t wanted = wanted_tokens(model, prompt_rows, options);
  require(wanted >= 1, Fault::bad_request, "the number of new tokens is ", wanted, ", it must be at least 1");
  return std::min(wanted, room_after(model, prompt_rows));
}

int64_t budget_of(const models::Model& model, const ReadyRequest& ready, const AnswerOptions& options) {
  const int64_t prompt_rows = ready.prompt.rows(), given = std::ssize(ready.given);
  if (given == 0) return budget_of(model, prompt_rows, options);
  require(given <= room_after(model, prompt_rows), Fault::bad_request, "the prompt has ", prompt_rows,
          " tokens and the answer ", given, ", and the model takes ", longest_sequence(model), " in all");
  return given;
}

ReadyRequest make_ready(const models::Model& model, const Request& request, const AnswerOptions& options) {
  const c10::InferenceMode no_gradients;
  const Stopwatch clock;
  return naming_failures([&] {
    ReadyRequest ready{.plan = plan_of(model, request), .prompt = build_prompt(model, request, Watch(options))};
    ready.given = given_answer_ids(model, request, ready.prompt.ids);
    ready.lora = request.lora;
    wait_for(ready.prompt.embeddings);
    ready.image_ms = clock.elapsed_ms();
    return ready;
  });
}

/// Bytes that begin a character.
int64_t count_characters(const std::string& text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
}

/// The last row of each sequence whose answer wants logits.  x: [rows, hidden] -> [sequences, hidden]
Tensor last_rows(const Tensor& x, const std::vector<int64_t>& offsets, std::span<Answering* const> answers) {
  std::vector<int64_t> last;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i]->wants_logits()) continue;
    require(offsets[i + 1] > offsets[i], Fault::bad_request,
            "the plan drops every token of the prompt, so nothing is left to answer from; use another plan");
    last.push_back(offsets[i + 1] - 1);
  }
  if (last.size() == 1) return x.narrow(0, last.front(), 1);
  return x.index_select(0, routing::index_tensor(last, x));
}

/// The negative log-likelihood of a token.
double loss_of(std::span<const float> logits, int64_t id) {
  return log_sum_exp(logits) - logits[static_cast<size_t>(id)];
}

/// Runs what the answers need next.  -> [answers that want logits, vocab] on the host
Tensor forward(const models::Model& model, std::span<Answering* const> answers) {
  routing::Batch batch, alive;
  std::vector<Tensor> rows;
  for (Answering* answer : answers) rows.push_back(answer->enter(batch));
  const routing::Observer observe = [&](const routing::LayerReport& report) {
    for (size_t i = 0; i < answers.size(); ++i) answers[i]->record(report, i);
    if (std::any_of(answers.begin(), answers.end(), [](const Answering* answer) { return answer->ended(); }))
      throw Cancelled();
  };
  Tensor x = rows.size() == 1 ? rows.front() : at::cat(rows);
  rows.clear();
  const Tensor hidden = model.decoder.forward(std::move(batch), std::move(x), observe, &alive);
  for (size_t i = 0; i < answers.size(); ++i) answers[i]->take_rows(hidden, alive.offsets[i], alive.offsets[i + 1]);
  const Tensor last = last_rows(hidden, alive.offsets, answers);
  if (last.size(0) == 0) return last;
  std::vector<int64_t> rows_before{0};  // of `last`, before those of each answer
  for (const Answering* answer : answers) rows_before.push_back(rows_before.back() + (answer->wants_logits() ? 1 : 0));
  const std::vector<nn::LoraRows> loras = routing::lora_rows(alive.sequences, rows_before);
  return model.decoder.logits(last, {{}, loras}).to(at::kCPU).contiguous();
}

uint64_t lora_id(const Answering* answer) {
  return answer->lora() ? answer->lora()->id : 0;
}

/// Those under the same LoRA one after another, so that its products are few and large.
std::vector<Answering*> by_lora(std::span<Answering* const> answers) {
  std::vector<Answering*> sorted(answers.begin(), answers.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Answering* a, const Answering* b) { return lora_id(a) < lora_id(b); });
  return sorted;
}

}  // namespace

int64_t wanted_tokens(const models::Model& model, int64_t prompt_rows, const AnswerOptions& options) {
  const models::GenerationDefaults& defaults = model.prompting.generation;
  int64_t usual = defaults.max_new_tokens.value_or(kDefaultNewTokens);
  const int64_t left = defaults.max_length.value_or(0) - prompt_rows;
  if (!defaults.max_new_tokens && left > 0) usual = std::min(usual, left);
  return options.max_new_tokens.value_or(usual);
}

Answering::Answering(const models::Model& model, const Request& request, AnswerOptions options)
    : Answering(model, make_ready(model, request, options), options) {}

Answering::Answering(const models::Model& model, ReadyRequest ready, AnswerOptions options)
    : model_(model),
      options_(std::move(options)),
      plan_(std::move(ready.plan)),
      lora_(std::move(ready.lora)),
      budget_(budget_of(model, ready, options_)),
      prompt_(std::move(ready.prompt)),
      chunk_ends_{prompt_->rows()},
      seen_(prompt_->ids),
      given_(std::move(ready.given)),
      runs_whole_(!given_.empty() && answers_run_whole(model)),
      recorder_(*prompt_),
      generation_(ready.generation ? std::move(*ready.generation) : Generation(model, plan_)) {
  generation_.score_pictures(prompt_->picture_scores);
  answer_.timings.image_ms = ready.image_ms;
  answer_.timings.prompt_rows = prompt_->rows();
  answer_.timings.vision_rows = prompt_->vision_rows();
  answer_.timings.reused_rows = generation_.next_position();
  prompt_->images.clear();  // pixels and features; the rows are among the embeddings
}

Answering::Answering(const Answering& first, AnswerOptions options)
    : model_(first.model_),
      options_(std::move(options)),
      plan_(first.plan_),
      lora_(first.lora_),
      budget_(budget_of(model_, first.answer_.timings.prompt_rows, options_)),
      answer_(first.prompt_end_->answer),
      seen_(first.seen_.begin(), first.seen_.end() - static_cast<std::ptrdiff_t>(first.answer_.tokens.size())),
      runs_whole_(false),
      recorder_(first.recorder_),
      generation_(first.prompt_end_->generation) {
  answer_.timings.prefill_ms = first.answer_.timings.prefill_ms;
  generation_.reserve(budget_);
}

SamplingPolicy Answering::checked_policy(const AnswerOptions& options) {
  SamplingPolicy policy = options.sampling.value_or(SamplingPolicy{});
  check(policy);
  const int64_t best = options.best_tokens.value_or(0);
  require(best >= 0 && best <= kMostBestTokens, Fault::bad_request, "the number of best tokens is ", best,
          ", it must be from 0 to ", kMostBestTokens);
  return policy;
}

std::optional<text::Constraint> Answering::copy_of(const std::shared_ptr<const text::Constraint>& constraint) {
  return constraint ? std::optional(constraint->copy()) : std::nullopt;
}

std::vector<std::string> Answering::stops(const models::Model& model, const AnswerOptions& options) {
  std::vector<std::string> all = options.stop;
  if (!options.ignore_eos)
    all.insert(all.end(), model.prompting.stop_strings.begin(), model.prompting.stop_strings.end());
  return all;
}

std::unique_ptr<Answering> Answering::branch(AnswerOptions options) const {
  const c10::InferenceMode no_gradients;
  std::unique_ptr<Answering> branch(new Answering(*this, std::move(options)));
  try {
    branch->accept(prompt_end_->logits);
  } catch (...) {
    branch->fail(std::current_exception());
  }
  return branch;
}

void Answering::begin_after(Generation held, std::vector<LayerRun> runs) {
  generation_ = std::move(held);
  generation_.score_pictures(prompt_->picture_scores);
  recorder_.begin_after(std::move(runs));
  answer_.timings.reused_rows = generation_.next_position();
}

int64_t Answering::cut_prompt(int64_t held, int64_t most) {
  chunk_ends_.clear();
  int64_t longest = 0;
  for (int64_t end = held; end < prompt_->rows();) {
    const int64_t begin = std::exchange(end, next_cut(model_, *plan_, prompt_->kinds, end, most));
    chunk_ends_.push_back(end);
    longest = std::max(longest, end - begin);
  }
  return longest;
}

int64_t Answering::longest_chunk() const {
  if (prefilled()) return 0;
  int64_t longest = 0, begin = generation_.next_position();
  for (const int64_t end : chunk_ends_) {
    longest = std::max(longest, end - begin);
    begin = std::max(begin, end);
  }
  return longest;
}

Tensor Answering::enter(routing::Batch& batch) {
  Tensor rows = enter_rows(batch);
  if (lora_) batch.sequences.back().lora = &lora_->terms;
  return rows;
}

Tensor Answering::enter_rows(routing::Batch& batch) {
  mark_ = generation_.mark();
  losses_.clear();
  if (!prefilled()) {
    const int64_t begin = generation_.next_position();
    const int64_t end = *std::upper_bound(chunk_ends_.begin(), chunk_ends_.end(), begin);
    if (begin == answer_.timings.reused_rows) clock_ = {};
    recorder_.restart();
    const std::span<const routing::RowKind> kinds(prompt_->kinds);
    generation_.enter_prompt(batch, kinds.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
                             ops::some_places(prompt_->places, begin, end));
    return prompt_->embeddings.narrow(0, begin, end - begin);
  }
  const std::vector<int64_t> ids = tokens_to_run();
  generation_.enter_tokens(batch, std::ssize(ids));
  return model_.decoder.embed(at::tensor(at::ArrayRef<int64_t>(ids), at::kLong));
}

/// The last token of the answer so far. Of a given answer that runs whole, also those after it but for the last, after
/// which nothing is scored.
std::vector<int64_t> Answering::tokens_to_run() const {
  if (!runs_whole_) return {answer_.tokens.back()};
  return {given_.begin() + std::ssize(answer_.tokens) - 1, given_.end() - 1};
}

void Answering::record(const routing::LayerReport& report, size_t sequence) {
  if (prefilled()) return;
  recorder_.record(report, sequence);
  tell({.stage = Progress::Stage::prefill,
        .done = report.layer + 1,
        .total = model_.decoder.config.layers,
        .rows = prompt_->rows() - answer_.timings.reused_rows});
}

void Answering::back_out() {
  if (mark_) generation_.rewind(*mark_);
  mark_.reset();
}

void Answering::after_prompt(std::span<const float> logits) {
  answer_.cache.rows_after_prefill = generation_.rows_held();
  answer_.cache.bytes_after_prefill = generation_.bytes_held();
  answer_.kept = recorder_.take_maps();
  answer_.rows_run = recorder_.rows_run();
  answer_.counted = counted_cost(lora_ ? lora_->facts : model_.facts, *plan_, prompt_->kinds);
  prompt_.reset();
  if (branches_) prompt_end_.emplace(PromptEnd{generation_, {logits.begin(), logits.end()}, answer_});
  generation_.reserve(budget_);
}

void Answering::after_first_token() {
  answer_.timings.prefill_ms = clock_.elapsed_ms();
  clock_ = {};
}

void Answering::take_rows(const Tensor& hidden, int64_t begin, int64_t end) {
  if (!prefilled() || given_.empty()) return;
  const int64_t step = std::max<int64_t>(1, kLogits / model_.decoder.config.vocab);
  for (int64_t first = begin; first < end - 1; first += step) {
    const int64_t count = std::min(step, end - 1 - first);
    std::vector<nn::LoraRows> loras;
    if (lora_) loras.push_back({&lora_->terms, 0, count});
    const Tensor logits = model_.decoder.logits(hidden.narrow(0, first, count), {{}, loras}).to(at::kCPU).contiguous();
    const auto vocab = static_cast<size_t>(logits.size(1));
    for (int64_t row = 0; row < count; ++row)
      losses_.push_back(loss_of({logits.const_data_ptr<float>() + static_cast<size_t>(row) * vocab, vocab},
                                given_[answer_.tokens.size() + losses_.size()]));
  }
}

void Answering::score(std::span<const float> logits) {
  losses_.push_back(loss_of(logits, given_[answer_.tokens.size() + losses_.size()]));
  for (const double loss : losses_) {
    const size_t next = answer_.tokens.size();
    if (!std::isfinite(loss))
      return fail(std::make_exception_ptr(not_finite(model_, concat("the logits of answer token ", next + 1))));
    answer_.losses.push_back(loss);
    answer_.tokens.push_back(given_[next]);
  }
  tell({.stage = Progress::Stage::decode, .done = std::ssize(answer_.tokens), .total = budget_});
  if (ended()) return cancel();
  if (answer_.tokens.size() == given_.size()) finish();
}

int64_t Answering::choose(std::span<const float> logits) {
  const models::TokenRules& rules = model_.prompting.generation.rules;
  if (!rules.any() && !changes_more_than_repeats(policy_) && !constraint_)
    return sample(logits, seen_, policy_, random_);
  std::vector<float> changed(logits.begin(), logits.end());
  const AnswerSoFar so_far{.ids = seen_,
                           .prompt_rows = answer_.timings.prompt_rows,
                           .made = static_cast<int64_t>(answer_.tokens.size()),
                           .most = budget_,
                           .eos_ids = model_.prompting.eos_ids};
  add_biases(changed, policy_.biases);
  apply_rules(rules, so_far, policy_.repetition_penalty, changed);
  penalise_made(changed, answer_.tokens, policy_);
  const auto any = [&] {
    return std::any_of(changed.begin(), changed.end(), [](float logit) { return std::isfinite(logit); });
  };
  require(any(), Fault::bad_file, model_.name, ": generation_config.json leaves no token to choose as new token ",
          so_far.made + 1, "; take suppress_tokens or bad_words_ids out of it");
  if (constraint_) constraint_->forbid_others(changed);
  require(any(), Fault::bad_request, "the response format leaves no token to choose as new token ", so_far.made + 1,
          "; ask for another format");
  return sample(changed, seen_, drawing_, random_);
}

void Answering::rate(int64_t id, std::span<const float> logits) {
  answer_.ratings.push_back(rating_of(logits, id, *options_.best_tokens));
  answer_.ratings.back().text_offset = characters_;
  if (options_.on_rating && !failure_) call([&] { options_.on_rating(answer_.ratings.back()); });
}

void Answering::accept_chunk() {
  mark_.reset();
  recorder_.begin_after(recorder_.runs());
}

void Answering::accept(std::span<const float> logits) {
  const bool first = !prefilled();
  mark_.reset();
  if (!all_finite(logits)) {
    const Error error = not_finite(model_, concat("the logits of new token ", answer_.tokens.size() + 1));
    return fail(std::make_exception_ptr(error));
  }
  if (first) after_prompt(logits);
  if (!given_.empty()) {
    if (first) after_first_token();
    return score(logits);
  }
  const int64_t id = choose(logits);
  if (first) after_first_token();
  answer_.tokens.push_back(id);
  answer_.token_logits.push_back(logits[static_cast<size_t>(id)]);
  seen_.push_back(id);
  if (!options_.ignore_eos && model_.prompting.ends(id)) {
    answer_.stop = StopReason::eos;
    return finish();
  }
  if (options_.best_tokens) rate(id, logits);
  go_on_with(id);
}

void Answering::go_on_with(int64_t id) {
  if (constraint_) constraint_->take(id);
  const std::string piece = stream_.push(id);
  characters_ += count_characters(piece);
  emit(filter_.push(piece));
  const auto made = static_cast<int64_t>(answer_.tokens.size());
  tell({.stage = Progress::Stage::decode, .done = made, .total = budget_});
  if (ended()) return cancel();
  if (constraint_ && constraint_->complete() && answer_.stop == StopReason::length) answer_.stop = StopReason::eos;
  if (answer_.stop != StopReason::length || made >= budget_) finish();
}

template <class Call>
void Answering::call(const Call& callback) {
  try {
    callback();
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void Answering::tell(const Progress& progress) {
  if (options_.on_progress && !failure_) call([&] { options_.on_progress(progress); });
}

void Answering::fail(const std::exception_ptr& failure) {
  failure_ = failure;
  cancel();
}

void Answering::cancel() {
  answer_.stop = StopReason::cancelled;
  finish();
}

void Answering::emit(const std::string& piece) {
  if (answer_.stop == StopReason::cancelled) return;
  answer_.text += piece;
  if (!piece.empty() && options_.on_text) {
    bool goes_on = false;
    call([&] { goes_on = options_.on_text(piece); });
    if (!goes_on) answer_.stop = StopReason::cancelled;
  }
  if (filter_.stopped() && answer_.stop == StopReason::length) answer_.stop = StopReason::stop_string;
}

void Answering::finish() {
  emit(filter_.push(stream_.finish()));
  emit(filter_.finish());
  (prefilled() ? answer_.timings.decode_ms : answer_.timings.prefill_ms) = clock_.elapsed_ms();
  answer_.timings.decoded_tokens = std::max<int64_t>(static_cast<int64_t>(answer_.tokens.size()) - 1, 0);
  answer_.cache.rows_at_end = generation_.rows_held();
  answer_.cache.bytes_at_end = generation_.bytes_held();
  done_ = true;
}

Answer Answering::take() {
  require(done_, Fault::internal, "Answering::take: the answer is not done");
  if (failure_) std::rethrow_exception(failure_);
  return std::move(answer_);
}

bool run_pass(const models::Model& model, std::span<Answering* const> given) {
  const c10::InferenceMode no_gradients;
  const std::vector<Answering*> answers = by_lora(given);
  Tensor logits;
  try {
    logits = forward(model, answers);
  } catch (const Cancelled&) {
    for (Answering* answer : answers) {
      answer->back_out();
      if (answer->ended()) answer->cancel();
    }
    return false;
  } catch (const std::exception& failure) {
    for (Answering* answer : answers) answer->back_out();
    throw FailedPass{error_of(failure)};
  }
  const auto vocab = static_cast<size_t>(logits.size(1));
  const float* row = logits.const_data_ptr<float>();
  for (Answering* answer : answers) {
    if (!answer->wants_logits()) {
      answer->accept_chunk();
      continue;
    }
    try {
      answer->accept({row, vocab});
    } catch (...) {
      answer->fail(std::current_exception());
    }
    row += vocab;
  }
  return true;
}

void run_alone(const models::Model& model, Answering& answer) {
  Answering* const alone[] = {&answer};
  try {
    while (!answer.done()) run_pass(model, alone);
  } catch (const FailedPass& failure) {
    throw failure.error;
  }
}

}  // namespace lithe::session

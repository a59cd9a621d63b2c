#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "models/model.h"
#include "session/generation.h"
#include "session/kept_recorder.h"
#include "session/prompt_rows.h"
#include "session/session.h"
#include "session/stop_filter.h"
#include "text/constraint.h"
#include "text/tokenizer.h"

namespace lithe::session {

using at::Tensor;

/// A request that is ready to run.
struct ReadyRequest {
  std::shared_ptr<const plan::Plan> plan;
  PromptRows prompt;
  std::optional<Generation> generation;          ///< Holds the first rows of the prompt; absent: nothing is held.
  double image_ms = 0;                           ///< What it took to get here.
  std::vector<int64_t> given;                    ///< Tokens of Request::given_answer; empty: the answer is generated.
  std::shared_ptr<const models::LoraOver> lora;  ///< Over the request's rows; null: none.
};

/// How many tokens are asked for after a prompt of so many rows, by the options or else by the model's defaults. There
/// may be less room.
int64_t wanted_tokens(const models::Model& model, int64_t prompt_rows, const AnswerOptions& options);

/// The state of one request until its answer is done: its prompt, layer states, sampling and text. run_pass() advances
/// it, alone or together with others; the answer does not depend on the others.
class Answering {
 public:
  /// Renders, tokenises and encodes pictures. Throws Error{bad_request} for a request that the model cannot run, and
  /// Cancelled.
  Answering(const models::Model& model, const Request& request, AnswerOptions options);
  /// Continues from the rows that the request's generation holds.
  Answering(const models::Model& model, ReadyRequest ready, AnswerOptions options);
  Answering(const Answering&) = delete;
  Answering& operator=(const Answering&) = delete;

  const plan::Plan& plan() const { return *plan_; }
  const models::LoraOver* lora() const { return lora_.get(); }
  bool prefilled() const { return !prompt_; }
  bool done() const { return done_; }
  /// Whether the caller has cancelled it, or one of its callbacks threw.
  bool ended() const { return failure_ || options_.cancel.stop_requested(); }
  /// What ended it in place of an answer: an Error, or what a callback threw. Null: nothing.
  const std::exception_ptr& failure() const { return failure_; }
  /// Of the prompt, before the first pass.
  const PromptRows& prompt() const { return *prompt_; }
  /// Call it before the prompt runs, if branch() will be called after it.
  void will_branch() { branches_ = true; }
  /// The prompt has run.
  bool can_branch() const { return prompt_end_.has_value(); }
  /// Another answer to the prompt that has just run, drawn as its own options say. Blocks of keys and values are shared
  /// until one of the answers adds rows to them. It has chosen its first token already.
  std::unique_ptr<Answering> branch(AnswerOptions options) const;
  /// No more branches come.
  void end_branching() { prompt_end_.reset(); }
  /// Most tokens that will be made, or those of a given answer.
  int64_t token_budget() const { return budget_; }
  /// Most rows that enter one pass after the prompt.
  int64_t rows_after_prompt() const { return runs_whole_ ? std::max<int64_t>(std::ssize(given_) - 1, 1) : 1; }

  /// Begins with rows that another sequence holds, before the first pass. `runs`: what the layers did with these rows.
  void begin_after(Generation held, std::vector<LayerRun> runs);
  /// Cuts the prompt after the first `held` rows into chunks of at most `most` rows, each of which enters a pass of its
  /// own. A chunk is longer if the plan does not allow a cut inside it.  -> rows of the longest
  int64_t cut_prompt(int64_t held, int64_t most);
  /// Rows of the longest chunk that has not run; 0 after the prompt.
  int64_t longest_chunk() const;

  /// Appends what runs next to a batch: the next chunk of the prompt without the rows already held, one token, or the
  /// tokens of a given answer.  -> [rows, hidden]
  Tensor enter(routing::Batch& batch);
  /// Takes what a layer did with its rows, which are sequence `sequence` of the batch.
  void record(const routing::LayerReport& report, size_t sequence);
  /// Takes the rows [begin, end) of what came out of the last block, those that entered. They say how likely the tokens
  /// of a given answer are, but for the token after the last row, of which accept() gets the logits.  hidden: [rows,
  /// hidden]
  void take_rows(const Tensor& hidden, int64_t begin, int64_t end);
  /// Of the pass that it has entered: false if more chunks of the prompt follow, so that no token is chosen.
  bool wants_logits() const { return !prompt_ || generation_.next_position() == prompt_->rows(); }
  /// Ends a pass that wants no logits.
  void accept_chunk();
  /// Chooses the next token and emits its text, or scores the next one of a given answer.  logits: [vocab]
  void accept(std::span<const float> logits);
  /// Undoes the pass that it entered, if it did, because the pass failed.
  void back_out();
  /// Ends the answer with the tokens it has.
  void cancel();
  /// The same, with a failure in place of an answer.
  void fail(const std::exception_ptr& failure);
  /// The answer. Call it once, when done. Throws the failure.
  Answer take();
  /// The layer states after the answer. Its last token has not run. Call it once, when done.
  Generation take_generation() { return std::move(generation_); }
  const Generation& generation() const { return generation_; }
  /// What the layers did with the prompt, after it.
  const std::vector<LayerRun>& runs() const { return recorder_.runs(); }

 private:
  /// How things stood after the prompt, before a token was chosen.
  struct PromptEnd {
    Generation generation;
    std::vector<float> logits;
    Answer answer;
  };

  /// A branch.
  Answering(const Answering& first, AnswerOptions options);
  /// How the options draw. Throws Error{bad_request} for options out of range.
  static SamplingPolicy checked_policy(const AnswerOptions& options);
  static std::optional<text::Constraint> copy_of(const std::shared_ptr<const text::Constraint>& constraint);
  static std::vector<std::string> stops(const models::Model& model, const AnswerOptions& options);
  void after_prompt(std::span<const float> logits);
  void after_first_token();
  Tensor enter_rows(routing::Batch& batch);
  std::vector<int64_t> tokens_to_run() const;
  void score(std::span<const float> logits);
  int64_t choose(std::span<const float> logits);
  void rate(int64_t id, std::span<const float> logits);
  /// The text of a token, and whether the answer ends with it.
  void go_on_with(int64_t id);
  void emit(const std::string& piece);
  /// Calls one of the caller's callbacks; what it throws becomes the failure.
  template <class Call>
  void call(const Call& callback);
  void tell(const Progress& progress);
  void finish();

  const models::Model& model_;
  const AnswerOptions options_;
  const std::shared_ptr<const plan::Plan> plan_;
  const std::shared_ptr<const models::LoraOver> lora_;
  const int64_t budget_;
  Answer answer_;
  std::optional<PromptRows> prompt_;  // until it has run
  std::vector<int64_t> chunk_ends_;   // of the prompt, ascending
  std::vector<int64_t> seen_;         // tokens of prompt and answer
  const std::vector<int64_t> given_;  // tokens of the answer, if it is not to be generated
  const bool runs_whole_;             // these enter one pass, after the prompt
  std::vector<double> losses_;        // of the tokens that the current pass scored so far
  KeptRecorder recorder_;
  Generation generation_;
  std::optional<Generation::Mark> mark_;  // before the current pass
  bool branches_ = false;
  std::optional<PromptEnd> prompt_end_;  // until the branches are made
  const SamplingPolicy policy_ = checked_policy(options_);
  const SamplingPolicy drawing_ = without_changes(policy_);  // for logits that are changed already
  std::optional<text::Constraint> constraint_ = copy_of(options_.constraint);
  int64_t characters_ = 0;  // of settled text
  std::mt19937_64 random_{policy_.seed};
  text::TextStream stream_{*model_.prompting.tokenizer};
  StopFilter filter_{stops(model_, options_)};
  Stopwatch clock_;
  std::exception_ptr failure_;
  bool done_ = false;
};

/// A pass that the model refused or that memory was too short for: every answer is as it was before.
struct FailedPass {
  Error error;
};

/// One forward pass over everything that the answers need next, prompts and single tokens mixed; each then chooses its
/// token. False: an answer ended after a layer, so the pass was given up; the others are as they were before. Throws
/// FailedPass.
bool run_pass(const models::Model& model, std::span<Answering* const> answers);

/// All passes of one answer. Throws Error if the model refuses one.
void run_alone(const models::Model& model, Answering& answer);

}  // namespace lithe::session

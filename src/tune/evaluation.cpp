#include "tune/evaluation.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "session/answer.h"
#include "tasks/exact_match.h"
#include "tune/held_out_samples.h"
#include "tune/loss.h"
#include "tune/sample_maker.h"

namespace lithe::tune {
namespace {

/// Sums over the samples of a pass.
struct LossSum {
  double sum = 0;
  int64_t labels = 0;

  void add(const models::Model& model, const plan::Plan& plan, std::span<const Sample> samples, int64_t longest) {
    const TrainingRows rows = pack_samples(model, plan, samples, {.longest = longest});
    sum += summed_loss(model.decoder, rows).item<double>();
    labels += rows.learnt();
  }
};

SampleAnswer answer_last_turn(const models::Model& model, const plan::Plan& plan, const data::Record& record,
                              const EvaluationOptions& options) {
  session::Request request{
      .messages = messages_of(model, record, options.sample), .images = record.images, .plan = plan};
  request.messages.pop_back();
  const session::Answer answer = session::run_answer(model, request, {.max_new_tokens = options.new_tokens});
  const std::string question = record.turns.size() < 2 ? "" : record.turns[record.turns.size() - 2].text;
  return {record.name, question, record.turns.back().text, answer.text};
}

/// What was seen of the sets so far.
class Evaluator {
 public:
  Evaluator(const models::Model& model, const plan::Plan& plan, const EvaluationOptions& options)
      : model_(model), plan_(plan), options_(options) {}

  void take(HeldOutSample<Sample> one) {
    waiting_.push_back(std::move(one.sample));
    if (static_cast<int64_t>(waiting_.size()) >= options_.batch) lose();
    if (options_.answers || static_cast<int64_t>(result_.answers.size()) < options_.shown) {
      const SampleAnswer answer = answer_last_turn(model_, plan_, one.as_read, options_);
      keep(answer, one.set->worth(one.record, answer.answer));
    }
  }

  Evaluation finish() {
    if (!waiting_.empty()) lose();
    require(loss_.labels > 0, Fault::bad_file, "eval_data holds no record");
    result_.loss = loss_.sum / static_cast<double>(loss_.labels);
    if (options_.answers) result_.exact_match = worth_ / static_cast<double>(answered_);
    return std::move(result_);
  }

 private:
  void lose() {
    loss_.add(model_, plan_, waiting_, options_.sample.longest);
    waiting_.clear();
  }

  /// `worth`: of the answer, if its set says so; else it counts if it is the expected text.
  void keep(SampleAnswer answer, std::optional<double> worth) {
    const double score = worth.value_or(tasks::matches(answer.answer, answer.expected) ? 1 : 0);
    answer.right = score == 1;
    ++answered_;
    worth_ += score;
    if (static_cast<int64_t>(result_.answers.size()) < options_.shown) result_.answers.push_back(std::move(answer));
  }

  const models::Model& model_;
  const plan::Plan& plan_;
  const EvaluationOptions& options_;
  std::vector<Sample> waiting_;
  LossSum loss_;
  int64_t answered_ = 0;
  double worth_ = 0;
  Evaluation result_;
};

}  // namespace

Evaluation evaluate(const models::Model& model, const plan::Plan& plan,
                    std::span<const std::unique_ptr<data::DataSet>> sets, const EvaluationOptions& options) {
  const at::NoGradGuard no_gradient;
  Evaluator evaluator(model, plan, options);
  HeldOutSamples<Sample> samples(sets, sample_maker(model, options.sample), 2 * options.batch);
  while (auto one = samples.next()) evaluator.take(std::move(*one));
  return evaluator.finish();
}

}  // namespace lithe::tune

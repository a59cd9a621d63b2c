#include "tune/evaluation.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <string>
#include <vector>

#include "session/answer.h"
#include "tune/loss.h"

namespace lithe::tune {
namespace {

std::string trimmed(const std::string& text) {
  const char* const blank = " \t\r\n";
  const size_t first = text.find_first_not_of(blank);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(blank) - first + 1);
}

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
  const std::string& expected = record.turns.back().text;
  return {record.name, question, expected, answer.text, trimmed(answer.text) == trimmed(expected)};
}

}  // namespace

Evaluation evaluate(const models::Model& model, const plan::Plan& plan, const data::DataSet& records,
                    const EvaluationOptions& options) {
  const at::NoGradGuard no_gradient;
  Evaluation result;
  LossSum loss;
  int64_t right = 0;
  std::vector<Sample> samples;
  for (int64_t i = 0; i < records.size(); ++i) {
    const data::Record record = records.read(i);
    samples.push_back(make_sample(model, record, options.sample));
    count_rows(model, samples.back(), options.sample);
    if (static_cast<int64_t>(samples.size()) == options.batch || i + 1 == records.size()) {
      loss.add(model, plan, samples, options.sample.longest);
      samples.clear();
    }
    if (!options.answers && static_cast<int64_t>(result.answers.size()) >= options.shown) continue;
    SampleAnswer answer = answer_last_turn(model, plan, record, options);
    right += answer.right ? 1 : 0;
    if (static_cast<int64_t>(result.answers.size()) < options.shown) result.answers.push_back(std::move(answer));
  }
  result.loss = loss.sum / static_cast<double>(std::max<int64_t>(loss.labels, 1));
  if (options.answers) result.exact_match = static_cast<double>(right) / static_cast<double>(records.size());
  return result;
}

}  // namespace lithe::tune

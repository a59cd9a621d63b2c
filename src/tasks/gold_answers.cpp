#include "tasks/gold_answers.h"

#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/printable.h"

namespace lithe::tasks {
namespace {

class GoldAnswers final : public Task {
 public:
  explicit GoldAnswers(std::unique_ptr<Task> task) : task_(std::move(task)) {}

  int64_t size() const override { return task_->size(); }
  std::string id(int64_t i) const override { return task_->id(i); }

  Question question(int64_t i) const override {
    Question question = task_->question(i);
    require(!question.target.empty(), Fault::bad_file, "question ", in_quotes(question.id),
            " has no public answer to score; choose a split that has answers");
    return question;
  }

  Judgement judge(int64_t, const Response&) const override { return {}; }

  /// The nll is a ratio of two sums over questions, so its standard error is that of a ratio.
  std::vector<Score> table(std::span<const Answered> answered) const override {
    AnswerLoss all;
    int64_t questions = 0;
    for (const Answered& one : answered) {
      if (!one.response.loss) continue;
      all.nll += one.response.loss->nll;
      all.tokens += one.response.loss->tokens;
      ++questions;
    }
    if (questions == 0) return {};
    const auto tokens = static_cast<double>(all.tokens), count = static_cast<double>(questions);
    Score nll{.name = "nll", .value = all.nll / tokens, .questions = questions};
    Score perplexity{.name = "perplexity", .value = std::exp(nll.value), .questions = questions};
    if (questions < 2) return {nll, perplexity};
    double squares = 0;
    for (const Answered& one : answered) {
      if (!one.response.loss) continue;
      const double off = one.response.loss->nll - nll.value * static_cast<double>(one.response.loss->tokens);
      squares += off * off;
    }
    nll.standard_error = std::sqrt(count / (count - 1) * squares) / tokens;
    perplexity.standard_error = perplexity.value * *nll.standard_error;
    return {nll, perplexity};
  }

 private:
  std::unique_ptr<Task> task_;
};

}  // namespace

std::unique_ptr<Task> gold_answers(std::unique_ptr<Task> task, const std::string& name) {
  require(task_named(name).asks != Asks::ranking, Fault::bad_request, "The task ", name,
          " has no answers in words to score; leave --metric out.");
  return std::make_unique<GoldAnswers>(std::move(task));
}

}  // namespace lithe::tasks

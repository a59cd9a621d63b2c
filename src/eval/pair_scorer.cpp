#include "eval/pair_scorer.h"

#include <cstdint>

#include "base/error.h"

namespace lithe::eval {

PairScorer::PairScorer(const session::PairSession& session, const std::string& head, const plan::Plan* plan)
    : session_(session), head_(session.head(head)), plan_(plan) {}

std::vector<std::string> PairScorer::labels(const tasks::Task& task) const {
  if (!head_.numbered) return head_.labels;
  const tasks::HeadLabels told = task.head_labels();
  const auto classes = static_cast<int64_t>(head_.labels.size());
  require(!told.numbered || told.names.empty() || told.fit(classes), Fault::bad_request, "The data have labels up to ",
          static_cast<int64_t>(told.names.size()) - 1, ", and the head ", head_.name, " tells ", classes,
          " apart; give the data that it was trained with.");
  return told.fit(classes) ? told.names : std::vector<std::string>();
}

std::vector<std::vector<float>> PairScorer::score(std::span<const tasks::Question> questions, const tasks::Task& task) {
  if (task.candidates() > 0) return rank(questions, task);
  std::vector<session::PairQuestion> pairs;
  for (const tasks::Question& question : questions) pairs.push_back({question.text, question.images});
  return session_.scores(head_, pairs, plan_);
}

std::vector<std::vector<float>> PairScorer::rank(std::span<const tasks::Question> questions,
                                                 const tasks::Task& task) const {
  std::vector<std::string> texts;
  for (const tasks::Question& question : questions) texts.push_back(question.text);
  std::vector<image::Source> pictures;
  for (int64_t i = 0; i < task.candidates(); ++i) pictures.push_back(task.candidate(i));
  const std::vector<float> table = session_.ranking(texts, pictures, plan_);  // [pictures, texts]
  std::vector<std::vector<float>> scores(texts.size());
  for (std::size_t text = 0; text < texts.size(); ++text)
    for (std::size_t picture = 0; picture < pictures.size(); ++picture)
      scores[text].push_back(table[picture * texts.size() + text]);
  return scores;
}

}  // namespace lithe::eval

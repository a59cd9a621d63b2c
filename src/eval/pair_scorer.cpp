#include "eval/pair_scorer.h"

#include <cstdint>

namespace lithe::eval {

PairScorer::PairScorer(const session::PairSession& session, const std::string& head, const plan::Plan* plan)
    : session_(session), head_(session.head(head)), plan_(plan) {}

std::vector<std::string> PairScorer::labels() const {
  for (std::size_t i = 0; i < head_.labels.size(); ++i)
    if (head_.labels[i] != std::to_string(i)) return head_.labels;
  return {};
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

#include "eval/pair_scorer.h"

#include <utility>

#include "base/error.h"

namespace lithe::eval {

PairScorer::PairScorer(const session::PairSession& session, const session::HeadInfo& head,
                       std::optional<plan::Plan> plan)
    : session_(session), head_(head), plan_(std::move(plan)) {}

std::vector<std::vector<float>> PairScorer::score(std::span<const tasks::Question> questions, const tasks::Task& task) {
  const plan::Plan* const plan = plan_ ? &*plan_ : nullptr;
  if (task.candidates() == 0) {
    std::vector<session::PairQuestion> pairs;
    for (const tasks::Question& question : questions) pairs.push_back({question.text, question.images});
    return session_.scores(head_, pairs, plan);
  }
  std::vector<std::string> texts;
  for (const tasks::Question& question : questions) texts.push_back(question.text);
  std::vector<image::Source> pictures;
  for (int64_t i = 0; i < task.candidates(); ++i) pictures.push_back(task.candidate(i));
  const std::vector<float> table = session_.ranking(texts, pictures, plan);  // [pictures, texts]
  std::vector<std::vector<float>> scores(texts.size());
  for (size_t picture = 0; picture < pictures.size(); ++picture)
    for (size_t text = 0; text < texts.size(); ++text) scores[text].push_back(table[picture * texts.size() + text]);
  return scores;
}

std::string head_for(const tasks::TaskInfo& task) {
  const std::string name = task.name;
  if (task.asks == tasks::Asks::ranking) return "rank";
  if (name == "vqav2") return "vqa";
  if (name == "nlvr2") return "nlvr2";
  if (name == "snli_ve") return "snli";
  fail(Fault::bad_request, "METER has no head for the task ", name, "; it has some for vqav2, nlvr2, snli_ve and ",
       "flickr30k");
}

}  // namespace lithe::eval

#include <map>

#include "golden/cases.h"
#include "tasks/answer_words.h"
#include "tasks/slake_score.h"
#include "tasks/word_overlap.h"

namespace lithe::golden {
namespace {

/// The answer that a conversation of the data ends with.
std::string reference_of(const Json& item) {
  return item.at("conversations").at(1).at("value");
}

void check_slake(const Json& json, Check& check) {
  tasks::SlakeTable table;
  for (std::size_t i = 0; i < json.at("ground_truth").size(); ++i) {
    const Json& item = json.at("ground_truth").at(i);
    table.add({reference_of(item), tasks::is_closed_type(item.at("answer_type"))},
              json.at("predictions").at(i).at("text"));
  }
  const std::map<std::string, std::string> names{
      {"open accuracy", "open"}, {"yes/no accuracy", "closed"}, {"exact match score", "exact match"},
      {"f1 score", "f1"},        {"precision", "precision"},    {"recall", "recall"},
      {"bleu_score", "bleu"},    {"bleu_score_1", "bleu-1"},    {"bleu_score_2", "bleu-2"},
      {"bleu_score_3", "bleu-3"}};
  std::map<std::string, double> scores;
  for (const tasks::Score& score : table.scores()) scores[score.name] = score.value;
  for (const auto& [name, value] : json.at("metrics_percent").items())
    check.near(name, value, scores.at(names.at(name)), kDoubleRounding);
}

void check_items(const Json& json, Check& check) {
  std::map<std::string, std::pair<std::string, std::string>> texts;  // of each id: the reference and the answer
  for (const Json& item : json.at("ground_truth")) texts[item.at("id")].first = reference_of(item);
  for (const Json& item : json.at("predictions")) texts[item.at("question_id")].second = item.at("text");
  for (const Json& item : json.at("per_item_open")) {
    const std::string id = item.at("id");
    const auto& [reference, answer] = texts.at(id);
    const tasks::WordOverlap overlap = tasks::word_overlap(answer, reference);
    check.near("exact " + id, item.at("exact"), overlap.exact, kDoubleRounding);
    check.near("f1 " + id, item.at("f1").at(0), overlap.f1, kDoubleRounding);
    check.near("precision " + id, item.at("f1").at(1), overlap.precision, kDoubleRounding);
    check.near("recall " + id, item.at("f1").at(2), overlap.recall, kDoubleRounding);
    check.near("hit " + id, item.at("hit"), tasks::slake_hit({reference, false}, answer) ? 1 : 0, kDoubleRounding);
  }
}

void check_aid(const Json& json, Check& check) {
  double right = 0;
  const auto count = static_cast<double>(json.at("ground_truth").size());
  for (std::size_t i = 0; i < json.at("ground_truth").size(); ++i) {
    const std::string given = tasks::normalized_answer(json.at("predictions").at(i).at("text").get<std::string>());
    right += given == tasks::normalized_answer(reference_of(json.at("ground_truth").at(i))) ? 1 : 0;
  }
  check.near("AID", json.at("accuracy_percent"), 100 * right / count, kDoubleRounding);
}

}  // namespace

Check run_slake_aid(const Json& json) {
  Check check;
  check_slake(json.at("slake"), check);
  check_items(json.at("slake"), check);
  check_aid(json.at("aid"), check);
  for (const auto& [word, expected] : json.at("normalize_word").items())
    check.texts("normalised '" + word + "'", expected, tasks::normalized_answer(word));
  return check;
}

}  // namespace lithe::golden

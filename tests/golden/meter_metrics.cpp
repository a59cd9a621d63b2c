#include <vector>

#include "golden/cases.h"
#include "tasks/meter_metrics.h"

namespace lithe::golden {
namespace {

constexpr double kTolerance = 1e-6;  // stored as float32

/// A list of rows of numbers.
class Table {
 public:
  explicit Table(const Json& rows) {
    for (const Json& row : rows) {
      for (const Json& value : row) values_.push_back(value.get<float>());
      table_.columns = static_cast<int64_t>(row.size());
    }
    table_.values = values_;
  }
  const tasks::ScoreTable& table() const { return table_; }

 private:
  std::vector<float> values_;
  tasks::ScoreTable table_;
};

void compare(const char* name, const tasks::Recall& actual, const Json& expected, Check& check) {
  const std::string stem = std::string(name) + "_r";
  check.near(stem + "1", expected.at(stem + "1").get<double>(), actual.at_1, kTolerance);
  check.near(stem + "5", expected.at(stem + "5").get<double>(), actual.at_5, kTolerance);
  check.near(stem + "10", expected.at(stem + "10").get<double>(), actual.at_10, kTolerance);
}

}  // namespace

Check run_meter_metrics(const Json& json) {
  Check check;
  const Json &accuracy = json.at("accuracy"), &vqa = json.at("vqa_score"), &retrieval = json.at("retrieval");
  const Table logits(accuracy.at("logits")), answers(vqa.at("logits")), worth(vqa.at("targets")),
      scores(retrieval.at("scores"));
  const auto labels = accuracy.at("target").get<std::vector<int64_t>>();
  check.near("accuracy", accuracy.at("value").get<double>(), tasks::accuracy(logits.table(), labels), kTolerance);
  check.near("vqa_score", vqa.at("value").get<double>(), tasks::vqa_score(answers.table(), worth.table()), kTolerance);
  const auto images = retrieval.at("caption_image").get<std::vector<int64_t>>();
  const tasks::Recalls recalls = tasks::recalls(scores.table(), images);
  compare("ir", recalls.image, retrieval.at("recalls"), check);
  compare("tr", recalls.text, retrieval.at("recalls"), check);
  return check;
}

}  // namespace lithe::golden

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "data/format.h"
#include "tasks/answer_words.h"
#include "tasks/items.h"
#include "tasks/set_files.h"
#include "tasks/task.h"
#include "tasks/vqa_accuracy.h"
#include "tasks/vqa_labels.h"

namespace lithe::tasks {
namespace {

namespace fs = std::filesystem;

/// The texts of "answers": objects with an "answer", or texts.
Json references_of(const Json& row) {
  Json references = Json::array();
  const Json& answers = field(row, "answers");
  require(answers.is_array(), Fault::bad_file, "'answers' is not a list");
  for (const Json& answer : answers) references.push_back(answer.is_string() ? answer : field(answer, "answer"));
  return references;
}

/// {"references": the answers of people, "type": "yes/no", "best": the most frequent one}
Json annotation_of(const Json& row) {
  Json more = {{"references", references_of(row)}};
  if (row.contains("answer_type") && row.at("answer_type").is_string()) more["type"] = row.at("answer_type");
  if (row.contains("multiple_choice_answer")) more["best"] = text_field(row, "multiple_choice_answer");
  return more;
}

/// The answers of people to the questions, by their ids.
class Annotations {
 public:
  explicit Annotations(const fs::path& file) : rows_(data::open_json_list(file, "annotations")) {}

  /// What annotation_of() makes of that of question `i`; the official files have both in one order. Null if
  /// there is none. Throws Error{bad_file} that names the annotation.
  Json of(int64_t i, const std::string& id) const {
    Json same = i < rows_->size() ? at(i, id) : Json();
    if (!same.is_null()) return same;
    std::call_once(indexed_, [this] {
      for (int64_t row = 0; row < rows_->size(); ++row) places_[id_at(row)] = row;
    });
    const auto place = places_.find(id);
    return place == places_.end() ? Json() : at(place->second, id);
  }

 private:
  std::string id_at(int64_t row) const {
    return naming_record(rows_->name(row), [&] { return id_field(rows_->read(row), "question_id"); });
  }
  /// Null if it is of another question.
  Json at(int64_t row, const std::string& id) const {
    return naming_record(rows_->name(row), [&] {
      const Json annotation = rows_->read(row);
      return id_field(annotation, "question_id") == id ? annotation_of(annotation) : Json();
    });
  }

  std::unique_ptr<data::Rows> rows_;
  mutable std::once_flag indexed_;
  mutable std::unordered_map<std::string, int64_t> places_;
};

Item vqav2_item(const Json& row) {
  return {.id = id_field(row, "question_id"), .text = text_field(row, "question"), .more = Json::object()};
}

/// Throws Error{bad_file} unless every answer has a number as its label and a share from 0 to 1.
void check_labels(const Json& more) {
  const auto each = [&](const char* key, const char* what, const auto& fits) {
    const Json& list = more.at(key);
    require(list.is_array() && list.size() == more.at("labels").size(), Fault::bad_file,
            "its answers, labels and scores differ in number");
    require(std::all_of(list.begin(), list.end(), fits), Fault::bad_file, what);
  };
  each("labels", "a value of 'answer_labels' is not a whole number",
       [](const Json& label) { return label.is_number_integer(); });
  each("answers", "a value of 'answers' is not a text", [](const Json& answer) { return answer.is_string(); });
  each("shares", "a value of 'answer_scores' is not a number from 0 to 1", [](const Json& share) {
    return share.is_number() && share.get<double>() >= 0 && share.get<double>() <= 1;  // NaN neither
  });
}

/// METER's Arrow files hold the answers that are labels of its head, and how right each is.
Item vqav2_item_of_list(const Json& row, std::size_t place) {
  Item item{.id = list_field(row, "question_id", place).dump(), .more = Json::object()};
  const Json& question = list_field(row, "questions", place);
  require(question.is_string(), Fault::bad_file, "a question is not a text");
  item.text = question.get<std::string>();
  const auto labels = row.find("answer_labels");
  if (labels == row.end() || (labels->is_array() && labels->empty())) return item;  // the test split
  item.more = {{"answers", list_field(row, "answers", place)},
               {"labels", list_field(row, "answer_labels", place)},
               {"shares", list_field(row, "answer_scores", place)}};
  check_labels(item.more);
  return item;
}

/// "val" -> "val2014"; test-dev asks about some pictures of test.
std::string year_of(const std::string& split) {
  return split.starts_with("test") ? split + "2015" : split + "2014";
}

Json name_of_picture(const Json& row, const std::string& split) {
  const std::string folder = split.starts_with("test") ? "test2015" : split + "2014";
  const std::string number = id_field(row, "image_id");
  const std::string zeros(number.size() < 12 ? 12 - number.size() : 0, '0');
  return concat(folder, "/COCO_", folder, "_", zeros, number, ".jpg");
}

/// The official questions and annotations, and folders of COCO's pictures.
class OfficialItems final : public Items {
 public:
  OfficialItems(const TaskOptions& options, const std::string& split, const fs::path& questions)
      : questions_(data::open_json_list(questions, "questions")), place_(options.data, options.decode), split_(split) {
    const auto file = found_in(options.data, {"v2_mscoco_" + year_of(split) + "_annotations.json"});
    if (file) annotations_.emplace(*file);
  }

  int64_t size() const override { return questions_->size(); }

  Item read(int64_t i) const override {
    Item item = naming_record(questions_->name(i), [&] { return vqav2_item(questions_->read(i)); });
    if (!annotations_) return item;
    item.more = annotations_->of(i, item.id);
    require(!item.more.is_null(), Fault::bad_file, questions_->name(i), ": has no annotation with its question_id");
    return item;
  }

  std::vector<image::Source> pictures(int64_t i) const override {
    return naming_record(questions_->name(i),
                         [&] { return std::vector{place_.find(name_of_picture(questions_->read(i), split_))}; });
  }

 private:
  std::unique_ptr<data::Rows> questions_;
  std::optional<Annotations> annotations_;
  data::Pictures place_;
  std::string split_;
};

std::unique_ptr<Items> open_tables(const TaskOptions& options, const std::vector<fs::path>& files) {
  const std::vector<std::string> texts{"question_id", "question", "answers", "answer_type", "multiple_choice_answer"};
  return items_of(RowSet{.rows = data::open_rows(files, texts),
                         .pictures = data::open_rows(files, {"image"}),
                         .place = data::Pictures(options.data, options.decode),
                         .item =
                             [](const Json& row) {
                               Item item = vqav2_item(row);
                               const auto answers = row.find("answers");
                               if (answers != row.end() && !answers->is_null()) item.more = annotation_of(row);
                               return item;
                             },
                         .picture_fields = [](const Json& row) { return std::vector<Json>{field(row, "image")}; }});
}

std::unique_ptr<Items> open_vqav2_split(const TaskOptions& options, const std::string& split) {
  const std::string official = "v2_OpenEnded_mscoco_" + year_of(split) + "_questions.json";
  const std::string arrow = "vqav2_" + split + ".arrow";
  const std::string hub = (split == "val" ? "validation" : split == "test-dev" ? "testdev" : split) + "-*.parquet";
  if (const auto file = found_in(options.data, {arrow}))
    return items_of(ListSet{
        .files = {*file},
        .columns = {"questions", "question_id", "answers", "answer_labels", "answer_scores"},
        .pictures = {"image"},
        .decode = options.decode,
        .item = [](const Json& row, std::size_t place, const std::string&) { return vqav2_item_of_list(row, place); }});
  if (const auto file = found_in(options.data, {official}))
    return std::make_unique<OfficialItems>(options, split, *file);
  for (const std::string& pattern : {"data/" + hub, hub}) {
    const std::vector<fs::path> files = fitting(options.data, pattern);
    if (!files.empty()) return open_tables(options, files);
  }
  refuse_set("VQAv2", options.data, {official, arrow, "data/" + hub});
}

class VqaV2 final : public Task {
 public:
  VqaV2(std::unique_ptr<Items> items, const TaskOptions& options)
      : items_(std::move(items)), instruction_(options.instruction.value_or("")), folder_(options.data) {}

  int64_t size() const override { return items_->size(); }

  std::string id(int64_t i) const override { return items_->read(i).id; }

  Question question(int64_t i) const override {
    const Item item = items_->read(i);
    Question question{.id = item.id, .text = item.text, .target = target_of(item.more)};
    question.answers = answers_of(item.more);
    question.images = items_->pictures(i);
    question.ask(item.text, instruction_);
    return question;
  }

  Judgement judge(int64_t i, const Response& response) const override {
    const Json more = items_->read(i).more;
    if (response.label && response.text.empty()) return judge_label(more, *response.label);
    Judgement judgement{.parsed = vqa_answer(response.text)};
    if (more.contains("references"))
      judgement.score = vqa_accuracy(response.text, more.at("references").get<std::vector<std::string>>());
    else if (more.contains("answers"))
      for (std::size_t k = 0; k < more.at("answers").size(); ++k)
        if (vqa_normalized(more.at("answers")[k].get<std::string>()) == judgement.parsed)
          judgement.score = std::max(judgement.score, more.at("shares")[k].get<double>());
    return judgement;
  }

  std::vector<Score> table(std::span<const Answered> answered) const override {
    constexpr std::array<const char*, 4> kNames{"accuracy", "yes/no", "number", "other"};
    std::array<std::vector<double>, kNames.size()> values;
    for (const Answered& one : answered) {
      const Json more = items_->read(one.question).more;
      if (more.empty()) continue;
      const std::string type = more.value("type", "");
      for (std::size_t k = 0; k < kNames.size(); ++k)
        if (k == 0 || type == kNames[k]) values[k].push_back(one.judgement.score);
    }
    std::vector<Score> scores;
    for (std::size_t k = 0; k < kNames.size(); ++k)
      if (!values[k].empty()) scores.push_back(mean_row(kNames[k], values[k]));
    return scores;
  }

  HeadLabels head_labels() const override {
    std::call_once(counted_, [this] { labels_ = vqa_labels(folder_); });
    return labels_;
  }

  /// As METER leaves the others out of its Arrow files: those of which a label is among the answers.
  std::optional<std::vector<int64_t>> learnable() const override {
    const HeadLabels labels = head_labels();
    if (labels.names.empty() || labels.numbered) return std::nullopt;
    const std::unordered_set<std::string> known(labels.names.begin(), labels.names.end());
    std::vector<int64_t> questions;
    for (int64_t i = 0; i < size(); ++i)
      if (may_teach(i, known)) questions.push_back(i);
    return questions;
  }

 private:
  /// Also if the record is bad or has no answer, which is said when its turn comes.
  bool may_teach(int64_t i, const std::unordered_set<std::string>& known) const {
    try {
      const Json more = items_->read(i).more;
      if (!more.contains("references")) return true;
      const Json& references = more.at("references");
      return std::any_of(references.begin(), references.end(),
                         [&](const Json& answer) { return known.contains(answer.get<std::string>()); });
    } catch (const Error&) {
      return true;
    }
  }

  static std::string target_of(const Json& more) {
    if (more.contains("best")) return more.at("best").get<std::string>();
    if (!more.contains("answers") || more.at("answers").empty()) return {};
    const Json& shares = more.at("shares");
    const auto best = static_cast<std::size_t>(std::max_element(shares.begin(), shares.end()) - shares.begin());
    return more.at("answers")[best].get<std::string>();
  }

  /// Of the official files as METER counts them: 0.3 for each of the people, at most 1.
  static std::vector<std::pair<std::string, double>> answers_of(const Json& more) {
    std::vector<std::pair<std::string, double>> answers;
    if (more.contains("answers"))
      for (std::size_t k = 0; k < more.at("answers").size(); ++k)
        answers.emplace_back(more.at("answers")[k].get<std::string>(), more.at("shares")[k].get<double>());
    std::map<std::string, int64_t> people;
    if (more.contains("references"))
      for (const Json& reference : more.at("references")) ++people[reference.get<std::string>()];
    for (const auto& [answer, count] : people)
      answers.emplace_back(answer, count > 3 ? 1 : static_cast<double>(3 * count) / 10);
    return answers;
  }

  /// A head whose labels have no names has those of METER's Arrow files.
  static Judgement judge_label(const Json& more, int64_t label) {
    Judgement judgement{.parsed = std::to_string(label)};
    require(!more.contains("references"), Fault::bad_request, "the head's labels are numbers, which the answers of ",
            "people don't tell; name them with `lithe convert --answers`, or give METER's Arrow files (docs/meter.md)");
    if (!more.contains("labels")) return judgement;
    for (std::size_t k = 0; k < more.at("labels").size(); ++k) {
      if (more.at("labels")[k] != label) continue;
      judgement = {more.at("answers")[k].get<std::string>(), more.at("shares")[k].get<double>()};
    }
    return judgement;
  }

  std::unique_ptr<Items> items_;
  std::string instruction_;
  fs::path folder_;
  mutable std::once_flag counted_;
  mutable HeadLabels labels_;
};

}  // namespace

std::unique_ptr<Task> open_vqav2(const TaskOptions& options) {
  std::vector<std::unique_ptr<Items>> parts;
  for (const std::string& split : parts_of_split(options.split)) parts.push_back(open_vqav2_split(options, split));
  return std::make_unique<VqaV2>(join(std::move(parts)), options);
}

}  // namespace lithe::tasks

#include "tasks/vqa_labels.h"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "data/format.h"
#include "tasks/answer_words.h"
#include "tasks/items.h"
#include "tasks/set_files.h"

namespace lithe::tasks {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostLabels = 1 << 20;

/// Names by class, as they come.
class NamesByClass {
 public:
  void put(int64_t label, const std::string& name) {
    require(label >= 0 && label < kMostLabels, Fault::bad_file, "the label of ", in_quotes(name), " is ", label,
            ", expected a number from 0 to ", kMostLabels - 1);
    const auto place = static_cast<std::size_t>(label);
    if (place >= names_.size()) names_.resize(place + 1);
    require(names_[place].empty() || names_[place] == name, Fault::bad_file, "label ", label, " means ",
            in_quotes(names_[place]), " and ", in_quotes(name));
    names_[place] = name;
  }
  HeadLabels labels() && { return {.names = std::move(names_), .numbered = true}; }

 private:
  std::vector<std::string> names_;
};

/// The labels of a row of METER's Arrow files: lists of a list for each question.
void add_row(const Json& row, NamesByClass& names) {
  const auto labels = row.find("answer_labels"), answers = row.find("answers");
  if (labels == row.end() || labels->is_null() || answers == row.end()) return;  // the test split
  require(labels->is_array() && answers->is_array() && labels->size() == answers->size(), Fault::bad_file,
          "'answers' and 'answer_labels' differ in number");
  for (std::size_t question = 0; question < labels->size(); ++question) {
    const Json &numbers = (*labels)[question], &texts = (*answers)[question];
    require(numbers.is_array() && texts.is_array() && numbers.size() == texts.size(), Fault::bad_file,
            "its answers and labels differ in number");
    for (std::size_t k = 0; k < numbers.size(); ++k) {
      require(numbers[k].is_number_integer() && texts[k].is_string(), Fault::bad_file,
              "its answers are not texts, or their labels not whole numbers");
      names.put(numbers[k].get<int64_t>(), texts[k].get<std::string>());
    }
  }
}

HeadLabels of_arrow(const std::vector<fs::path>& files) {
  NamesByClass names;
  for (const fs::path& file : files) {
    const std::unique_ptr<data::Rows> rows = data::open_rows(file, {"answers", "answer_labels"});
    for (int64_t i = 0; i < rows->size(); ++i) naming_record(rows->name(i), [&] { add_row(rows->read(i), names); });
  }
  return std::move(names).labels();
}

/// Counts the most frequent answers of questions.
class AnswerCounts {
 public:
  void add(const data::Rows& rows) {
    for (int64_t i = 0; i < rows.size(); ++i) {
      const std::string answer = naming_record(rows.name(i), [&] { return best_of(rows.read(i)); });
      if (answer.empty()) continue;
      const auto [found, is_new] = places_.try_emplace(answer, counts_.size());
      if (is_new) counts_.emplace_back(answer, 0);
      ++counts_[found->second].second;
    }
  }

  HeadLabels labels() const {
    HeadLabels labels;
    for (const auto& [answer, count] : counts_)
      if (count >= kLeastQuestions) labels.names.push_back(answer);
    return labels;
  }

 private:
  /// As METER normalises it; empty: the split keeps it secret.
  static std::string best_of(const Json& row) {
    const auto best = row.find("multiple_choice_answer");
    if (best == row.end() || best->is_null()) return {};
    require(best->is_string(), Fault::bad_file, "'multiple_choice_answer' is not a text");
    return normalized_answer(best->get<std::string>());
  }

  std::unordered_map<std::string, std::size_t> places_;
  std::vector<std::pair<std::string, int64_t>> counts_;  ///< In the order of their first question.
};

HeadLabels of_folder(const fs::path& folder) {
  const std::vector<fs::path> arrow = fitting(folder, "vqav2_*.arrow");
  if (!arrow.empty()) return of_arrow(arrow);
  AnswerCounts counts;
  for (const char* name : {"v2_mscoco_train2014_annotations.json", "v2_mscoco_val2014_annotations.json"})
    if (const auto file = found_in(folder, {name})) counts.add(*data::open_json_list(*file, "annotations"));
  if (counts.labels().names.empty()) {
    for (const char* split : {"train", "validation"}) {
      std::vector<fs::path> files = fitting(folder, concat("data/", split, "-*.parquet"));
      if (files.empty()) files = fitting(folder, concat(split, "-*.parquet"));
      if (!files.empty()) counts.add(*data::open_rows(files, {"multiple_choice_answer"}));
    }
  }
  return counts.labels();
}

/// {"0": "yes", ..} or {"yes": 0, ..}.
void add_object(const Json& map, NamesByClass& names) {
  for (const auto& [key, value] : map.items()) {
    if (value.is_number_integer()) {
      names.put(value.get<int64_t>(), key);
      continue;
    }
    const bool is_number = !key.empty() && key.size() <= 7 && key.find_first_not_of("0123456789") == key.npos;
    require(value.is_string() && is_number, Fault::bad_file, "the entry ", in_quotes(key),
            " is neither a number with its answer nor an answer with its number");
    names.put(std::stoll(key), value.get<std::string>());
  }
}

HeadLabels of_map(const fs::path& file) {
  const Json json = read_json_file(file);
  const Json* map = &json;
  for (const char* key : {"id2label", "label2ans", "id2ans", "label2id", "ans2label"})
    if (map == &json && json.is_object() && json.contains(key) && json.at(key).is_structured()) map = &json.at(key);
  return naming_record(file.string(), [&] {
    NamesByClass names;
    require(map->is_structured() && !map->empty(), Fault::bad_file, "holds no list and no map of answers");
    if (map->is_object()) {
      add_object(*map, names);
    } else {
      for (std::size_t i = 0; i < map->size(); ++i) {
        require((*map)[i].is_string(), Fault::bad_file, "answer ", i, " of its list is not a text");
        names.put(static_cast<int64_t>(i), (*map)[i].get<std::string>());
      }
    }
    return std::move(names).labels();
  });
}

}  // namespace

HeadLabels vqa_labels(const fs::path& path) {
  std::error_code code;
  if (fs::is_directory(path, code)) return of_folder(path);
  return path.extension() == ".arrow" ? of_arrow({path}) : of_map(path);
}

}  // namespace lithe::tasks

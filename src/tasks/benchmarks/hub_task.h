#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tasks/benchmarks/hub_rows.h"
#include "tasks/items.h"
#include "tasks/task.h"

namespace lithe::tasks {

/// A row as a question.
struct AskedRow {
  std::string prompt;
  std::string target;
  std::vector<std::string> answers = {};          ///< All that are right, if there are several.
  std::optional<std::string> instruction = {};    ///< In place of the task's.
  std::vector<std::string> pictures = {"image"};  ///< The columns, in the order in which they are shown.
  bool needs_pictures = true;                     ///< Else a column may be empty.
};

/// A benchmark as lmms-eval asks and scores it, over files of the hub. A benchmark says what a row asks and what an
/// answer is worth; the rest is here.
class HubTask : public Task {
 public:
  HubTask(const HubSet& set, const TaskOptions& options);

  int64_t size() const override { return rows_.size(); }
  std::string id(int64_t i) const override { return rows_.id(i); }
  Question question(int64_t i) const override;
  /// As the model gave it: some rules look at white space.
  std::string kept(const std::string& answer) const override { return answer; }
  Judgement judge(int64_t i, const Response& response) const override;
  /// The mean, as "exact_match".
  std::vector<Score> table(std::span<const Answered> answered) const override;

 protected:
  virtual AskedRow asked(const Json& row) const = 0;
  /// `answer`: without white space at its ends; `raw`: as it was given.
  virtual Judgement judged(const Json& row, const std::string& answer, const std::string& raw) const = 0;
  virtual std::vector<image::Source> pictures(int64_t i, const AskedRow& asked) const;

  const Json& row(int64_t i) const { return rows_.row(i); }
  bool today() const { return today_; }
  const std::string& instruction() const { return instruction_; }

 private:
  HubRows rows_;
  std::string instruction_;
  bool today_;
};

/// The mean of those that `belongs` takes, if there are any.
template <class Belongs>
void add_mean(const std::string& name, std::span<const Answered> answered, const Belongs& belongs,
              std::vector<Score>& scores) {
  std::vector<double> values;
  for (const Answered& one : answered)
    if (belongs(one)) values.push_back(one.judgement.score);
  if (!values.empty()) scores.push_back(mean_row(name, values));
}

/// The value of a column that may be empty or missing.
std::string text_or_empty(const Json& row, const char* key);

/// The texts of a list. Throws Error{bad_file}.
std::vector<std::string> texts_field(const Json& row, const char* key);

/// The whole number of a column. Throws Error{bad_file}.
int64_t whole_field(const Json& row, const char* key);

/// The letter of the option whose number is in 'answer'. `list`: the column with the options, each of which is a `one`
/// in messages. Throws Error{bad_file}.
std::string letter_of_answer(const Json& row, const char* list, const char* one);

}  // namespace lithe::tasks

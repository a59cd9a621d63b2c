#include "tasks/benchmarks/hub_task.h"

#include <charconv>

#include "base/error.h"
#include "tasks/option_lines.h"
#include "text/words.h"

namespace lithe::tasks {

HubTask::HubTask(const HubSet& set, const TaskOptions& options)
    : rows_(set, options),
      instruction_(options.instruction.value_or("")),
      today_(options.protocol == Protocol::today) {}

Question HubTask::question(int64_t i) const {
  return naming_record(rows_.name(i), [&] {
    AskedRow asked = this->asked(row(i));
    Question question{.id = id(i), .text = asked.prompt, .target = std::move(asked.target)};
    for (std::string& answer : asked.answers) question.answers.emplace_back(std::move(answer), 1.0);
    question.images = pictures(i, asked);
    question.ask(asked.prompt, asked.instruction.value_or(instruction_));
    return question;
  });
}

std::vector<image::Source> HubTask::pictures(int64_t i, const AskedRow& asked) const {
  return rows_.pictures(i, asked.pictures, asked.needs_pictures);
}

Judgement HubTask::judge(int64_t i, const Response& response) const {
  return naming_record(rows_.name(i), [&] { return judged(row(i), text::stripped(response.text), response.text); });
}

std::vector<Score> HubTask::table(std::span<const Answered> answered) const {
  return mean_score("exact_match", answered);
}

std::string text_or_empty(const Json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::vector<std::string> texts_field(const Json& row, const char* key) {
  const Json& list = field(row, key);
  require(list.is_array(), Fault::bad_file, "'", key, "' is not a list");
  std::vector<std::string> texts;
  for (const Json& text : list) {
    require(text.is_string(), Fault::bad_file, "'", key, "' holds something other than texts");
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

int64_t whole_field(const Json& row, const char* key) {
  const std::string digits = id_field(row, key);
  int64_t value = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  require(read.ec == std::errc() && read.ptr == digits.data() + digits.size(), Fault::bad_file, "'", key,
          "' is not a whole number");
  return value;
}

std::string letter_of_answer(const Json& row, const char* list, const char* one) {
  const int64_t place = whole_field(row, "answer");
  require(place >= 0 && place < static_cast<int64_t>(field(row, list).size()), Fault::bad_file, "'answer' is ", place,
          ", which is the number of no ", one);
  return option_letter(static_cast<std::size_t>(place));
}

}  // namespace lithe::tasks

#include "tune/meter_sample.h"

#include <array>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "base/trim.h"
#include "text/words.h"

namespace lithe::tune {
namespace {

using models::MeterTask;

constexpr std::string_view kMark = "<image>";

/// The text of the user, without picture marks.
std::string question_of(const data::Record& record) {
  std::string text;
  int64_t questions = 0, answers = 0;
  for (const data::Turn& turn : record.turns) {
    questions += turn.role == "user" ? 1 : 0;
    answers += turn.role == "assistant" ? 1 : 0;
    if (turn.role == "user") text = turn.text;
  }
  require(questions <= 1 && answers <= 1, Fault::bad_file, record.name, ": has ", questions, " questions and ", answers,
          " answers, and METER trains on one question and one answer; make a record of each turn");
  for (size_t at = text.find(kMark); at != text.npos; at = text.find(kMark)) text.erase(at, kMark.size());
  text = std::string(trimmed(text));
  require(!text.empty(), Fault::bad_file, record.name, ": has no text of a user");
  return text;
}

/// The last turn of the assistant; empty if there is none.
std::string answer_of(const data::Record& record) {
  std::string text;
  for (const data::Turn& turn : record.turns)
    if (turn.role == "assistant") text = turn.text;
  return std::string(trimmed(text));
}

template <size_t N>
int64_t label_in(const std::array<const char*, N>& labels, const data::Record& record) {
  const std::string answer = text::lower(answer_of(record));
  std::string known;
  for (size_t i = 0; i < N; ++i) {
    if (answer == labels[i]) return static_cast<int64_t>(i);
    known += (i == 0 ? "" : ", ") + std::string(labels[i]);
  }
  fail(Fault::bad_file, record.name, ": the answer is ", in_quotes(answer), ", expected one of ", known);
}

SoftLabels soft_labels(const data::Record& record, const AnswerClasses& classes) {
  SoftLabels labels;
  for (const auto& [answer, score] : answers_of(record))
    if (const auto found = classes.find(answer); found != classes.end()) labels.emplace_back(found->second, score);
  return labels;
}

}  // namespace

std::map<std::string, double> answers_of(const data::Record& record) {
  const std::string answer = answer_of(record);
  require(!answer.empty(), Fault::bad_file, record.name, ": has no answer");
  if (!answer.starts_with('{')) return {{answer, 1.0}};
  const Json json = parse_json(answer, record.name);
  std::map<std::string, double> answers;
  for (const auto& [text, score] : json.items()) {
    require(score.is_number() && score.get<double>() >= 0 && score.get<double>() <= 1, Fault::bad_file, record.name,
            ": the answer ", in_quotes(text), " needs a score from 0 to 1");
    answers[text] = score.get<double>();
  }
  return answers;
}

MeterSample make_meter_sample(const models::Meter& meter, const data::Record& record, MeterTask task,
                              const AnswerClasses& classes) {
  MeterSample sample{.name = record.name, .text = meter.encode(question_of(record)), .pictures = {}};
  const size_t pictures = task == MeterTask::nlvr2 ? 2 : 1;
  require(record.images.size() == pictures, Fault::bad_file, record.name, ": has ", record.images.size(),
          record.images.size() == 1 ? " picture" : " pictures", ", and the head ", name_of(task), " reads ", pictures);
  for (const image::Source& image : record.images)
    sample.pictures.push_back(std::make_shared<const image::PixelValues>(meter.pixel_values(*image.decode())));
  sample.rows =
      static_cast<int64_t>(pictures) * (static_cast<int64_t>(sample.text.ids.size()) + meter.tower.config.rows());
  if (task == MeterTask::vqa) sample.answers = soft_labels(record, classes);
  if (task == MeterTask::nlvr2) sample.label = label_in(std::array{"false", "true"}, record);
  if (task == MeterTask::snli) sample.label = label_in(std::array{"contradiction", "neutral", "entailment"}, record);
  return sample;
}

}  // namespace lithe::tune

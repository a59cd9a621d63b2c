#include "eval/task_run.h"

#include <algorithm>

#include "base/file.h"
#include "base/printable.h"
#include "io/atomic_file.h"

namespace lithe::eval {
namespace {

namespace fs = std::filesystem;

tasks::Response response_of(const Json& line) {
  tasks::Response response;
  if (line.contains("answer")) response.text = line.at("answer").get<std::string>();
  if (line.contains("nll"))
    response.loss =
        tasks::AnswerLoss{line.at("nll").get<double>(), std::max<int64_t>(1, line.at("answer_tokens").get<int64_t>())};
  if (line.contains("label")) response.label = line.at("label").get<int64_t>();
  if (line.contains("scores")) {
    for (const Json& score : line.at("scores")) response.scores.push_back(score.is_number() ? score.get<float>() : 0);
  }
  return response;
}

bool is_by_head(const tasks::Response& response) {
  return response.label || !response.scores.empty();
}

/// What a line shows of what was asked.
std::string prompt_of(const tasks::Question& question, const tasks::Response& response) {
  return is_by_head(response) ? question.text : question.turns.back().text;
}

/// Whether a line answers question `i` as it is now. Lines of earlier versions have no "asked". A question that cannot
/// be read, as its picture is gone, cannot have another answer either.
bool is_answer_to(const tasks::Task& task, int64_t i, const Json& line, const tasks::Response& response) {
  const auto is = [&](const char* key, const std::string& now) { return !line.contains(key) || line.at(key) == now; };
  AskedQuestion now;
  try {
    now = task.question(i);
  } catch (const Error&) {
    return true;
  }
  return is("asked", now.state) && is("prompt", prompt_of(now.question, response)) && is("target", now.question.target);
}

Json line_of(int64_t i, const AskedQuestion& asked, const tasks::Response& response) {
  const tasks::Question& question = asked.question;
  Json line = {{"question", i}, {"id", question.id}, {"prompt", prompt_of(question, response)}};
  if (!response.scores.empty()) line["scores"] = response.scores;
  if (response.label) line["label"] = *response.label;
  if ((!response.text.empty() || !is_by_head(response)) && !response.loss) line["answer"] = response.text;
  if (!question.target.empty()) line["target"] = question.target;
  line["asked"] = asked.state;
  if (!response.loss) return line;
  line["nll"] = response.loss->nll;
  line["answer_tokens"] = response.loss->tokens;
  return line;
}

Json to_json(const std::vector<tasks::Score>& scores) {
  Json list = Json::array();
  for (const tasks::Score& score : scores) {
    Json row = {{"name", score.name}, {"value", score.value}, {"questions", score.questions}};
    if (score.standard_error) row["standard_error"] = *score.standard_error;
    if (!score.missing.empty()) {
      row["value"] = nullptr;
      row["missing"] = score.missing;
    }
    list.push_back(std::move(row));
  }
  return list;
}

}  // namespace

Tally& Tally::operator+=(const Tally& more) {
  questions += more.questions;
  before += more.before;
  answered += more.answered;
  failed += more.failed;
  tokens += more.tokens;
  if (first_error.empty()) first_error = more.first_error;
  return *this;
}

TaskRun::TaskRun(const tasks::Task& task, fs::path folder, Json settings, const Part& part)
    : task_(task),
      folder_(std::move(folder)),
      settings_(std::move(settings)),
      part_(part),
      end_(std::min(task.size(), part.limit.value_or(task.size()))) {
  for (int64_t i = part_.shard.index; i < end_; i += part_.shard.count) ++tally_.questions;
  settings_["questions"] = task.size();
  if (!part_.shard.is_whole()) settings_["shard"] = text_of(part_.shard);
  io::make_folder(folder_);
  check_folder();
  samples_.emplace(folder_ / kSamples);
  if (!is_there(folder_ / kResult))
    io::write_json_atomic(folder_ / kResult, {{"schema", kSchema}, {"finished", false}, {"settings", settings_}});
  take_before();
}

void TaskRun::check_folder() const {
  std::error_code absent;
  if (is_there(folder_ / kResult)) {
    const Json before = read_json_file(folder_ / kResult);
    require(before.is_object() && before.value("schema", "") == kSchema, Fault::bad_file,
            in_quotes((folder_ / kResult).string()), " is not the result of `lithe eval`; give another --output.");
    const Json settings = before.value("settings", Json::object());
    require(settings.contains("metric") == settings_.contains("metric"), Fault::bad_request, "The folder ",
            in_quotes(folder_.string()), " holds a run with another metric; give another --output.");
    require_same(settings, settings_, folder_);
    // A shard has a setting more.
    require(!part_.shard.is_whole() || !before.at("settings").contains("shard"), Fault::bad_request, "The folder ",
            in_quotes(folder_.string()), " holds a shard of a run; give another --output.");
    return;
  }
  const auto bytes = fs::file_size(folder_ / kSamples, absent);
  require(absent || bytes == 0, Fault::bad_file, "The folder ", in_quotes(folder_.string()), " holds ", kSamples,
          " without the ", kResult, " that says what it is of; give another --output.");
}

void TaskRun::take_before() {
  for (const auto& [i, line] : samples_->take_answers()) {
    require(i < task_.size() && task_.id(i) == line.at("id").get<std::string>(), Fault::bad_request, "The folder ",
            in_quotes(folder_.string()), " holds answers to other questions: question ", i, " there is ",
            in_quotes(line.at("id").get<std::string>()), "; give another --output.");
    tasks::Answered one{.question = i, .response = response_of(line)};
    require(is_answer_to(task_, i, line, one.response), Fault::bad_request, "The folder ", in_quotes(folder_.string()),
            " holds an answer to question ", i, " (", in_quotes(task_.id(i)),
            "), whose text, picture or right answer has changed since; give another --output.");
    one.judgement = task_.judge(i, one.response);
    answered_.emplace(i, std::move(one));
    take_counts(i, line);
    tally_.before += is_wanted(i) ? 1 : 0;
  }
}

std::optional<int64_t> TaskRun::next() {
  while (next_ < end_ && (!is_wanted(next_) || answered_.contains(next_))) ++next_;
  return next_ < end_ ? std::optional(next_++) : std::nullopt;
}

void TaskRun::answer(int64_t i, const AskedQuestion& asked, const tasks::Response& response, Json more) {
  const tasks::Judgement judgement = task_.judge(i, response);
  Json line = line_of(i, asked, response);
  if (response.loss) {
    tally_.tokens += response.loss->tokens;
  } else {
    line["parsed"] = judgement.parsed;
    line["score"] = judgement.score;
  }
  if (more.contains("tokens")) tally_.tokens += more.at("tokens").get<int64_t>();
  line.update(more);
  samples_->add(line);
  take_counts(i, line);
  answered_[i] = {i, response, judgement};
  ++tally_.answered;
}

void TaskRun::take_counts(int64_t i, const Json& line) {
  if (auto kept = kept_tokens_in(line)) kept_[i] = std::move(*kept);
  const auto number = [&](const char* key) {
    return line.contains(key) && line.at(key).is_number() ? line.at(key).get<double>() : 0;
  };
  if (number("dense_flops") > 0) counted_[i] = {number("flops"), number("dense_flops")};
}

std::optional<double> TaskRun::counted_share() const {
  session::CountedCost sum;
  for (const auto& [i, answered] : answered_) {
    if (!is_wanted(i)) continue;
    const auto one = counted_.find(i);
    if (one == counted_.end()) return std::nullopt;
    sum.flops += one->second.flops;
    sum.dense_flops += one->second.dense_flops;
  }
  return sum.dense_flops > 0 ? std::optional(sum.share()) : std::nullopt;
}

Recall TaskRun::recall() const {
  Recall recall;
  for (const auto& [i, kept] : kept_)
    if (is_wanted(i)) recall.add(kept);
  return recall;
}

void TaskRun::fail(int64_t i, const std::string& id, const Error& error) {
  samples_->add({{"question", i}, {"id", id}, {"error", error.what()}});
  if (tally_.failed++ == 0) tally_.first_error = error.what();
}

Json TaskRun::finish(const Json& facts) {
  std::vector<tasks::Answered> answered;
  for (const auto& [i, one] : answered_)
    if (is_wanted(i)) answered.push_back(one);
  const bool finished = static_cast<int64_t>(answered.size()) == tally_.questions;
  Json result = {{"schema", kSchema}, {"finished", finished}};
  result.update(facts);
  if (end_ < task_.size()) result["limit"] = end_;
  result["questions"] = tally_.questions;
  result["answered"] = answered.size();
  result["failed"] = tally_.failed;
  result["scores"] = to_json(task_.table(answered));
  if (const auto share = counted_share()) result["counted_share"] = *share;
  if (const Recall known = recall(); !known.empty()) result["recall"] = known.layers();
  result["settings"] = settings_;
  if (tally_.left() <= 0) samples_->tidy();
  io::write_json_atomic(folder_ / kResult, result);
  return result;
}

}  // namespace lithe::eval

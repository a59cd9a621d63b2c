#include "golden/benchmarks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "golden/benchmark_set.h"
#include "tasks/mmbench_answer.h"
#include "tasks/python_list.h"
#include "tasks/python_random.h"
#include "tasks/task.h"
#include "text/words.h"

namespace lithe::golden {
namespace {

using tasks::Protocol;

/// Of a case: what differs today stands under KEY_today.
const Json& expected(const Json& json, const std::string& key, Protocol protocol) {
  return protocol == Protocol::today && json.contains(key + "_today") ? json.at(key + "_today") : json.at(key);
}

tasks::MmbenchOptions options_of(const Json& doc) {
  tasks::MmbenchOptions options;
  for (const char letter : std::string("ABCD")) options[letter] = doc.at(std::string(1, letter));
  return options;
}

std::string judge_prompt(const Json& record, const Json& response) {
  const Json& doc = record.at("doc");
  return tasks::mmbench_judge_prompt(doc.at("question"), options_of(doc),
                                     text::stripped(response.at("text").get<std::string>()));
}

/// A judge that replies as the case says, and counts what it is asked.
class CaseJudge {
 public:
  explicit CaseJudge(const Json& json) : replies_(json.value("judge_replies", Json())) {
    for (const Json& record : json.at("records"))
      for (const Json& response : record.at("responses"))
        if (!replies_.is_null())
          answers_[judge_prompt(record, response)] = text::stripped(response.at("text").get<std::string>());
  }

  std::optional<std::string> reply(const std::string& prompt) {
    ++calls_;
    return replies_.value(answers_.at(prompt), replies_.at("*").get<std::string>());
  }

  int64_t take_calls() { return std::exchange(calls_, 0); }

 private:
  Json replies_;
  std::map<std::string, std::string> answers_;  ///< The answer that a prompt is about.
  int64_t calls_ = 0;
};

/// A case by one protocol.
class BenchmarkRun {
 public:
  BenchmarkRun(const Json& json, const BenchmarkSet& set, Protocol protocol, Check& check)
      : json_(json),
        protocol_(protocol),
        judge_(json),
        task_(open(set, nullptr)),
        silent_(open(set, [](const std::string&) { return std::nullopt; })),
        judged_(open(set, [this](const std::string& prompt) { return judge_.reply(prompt); })),
        check_(check) {}

  void run() {
    check_.integers("records", {static_cast<int64_t>(json_.at("records").size())}, {task_->size()});
    if (!check_.faults().empty()) return;
    for (record_ = 0; record_ < task_->size(); ++record_) {
      check_question();
      for (const Json& response : record().at("responses")) check_response(response);
    }
    for (const Json& aggregate : json_.at("aggregate")) check_aggregate(aggregate);
    check_draws();
  }

 private:
  std::unique_ptr<tasks::Task> open(const BenchmarkSet& set, tasks::Judge judge) const {
    tasks::TaskOptions options{.data = set.path(), .split = json_.at("dataset").at("split")};
    if (json_.contains("judge_replies")) options.judge = std::move(judge);
    options.protocol = protocol_;
    return tasks::open_task(json_.at("task"), options);
  }

  const Json& record() const { return json_.at("records").at(static_cast<std::size_t>(record_)); }

  std::string name(const std::string& what) const {
    return fmt::format("{}record {}, {}", protocol_ == Protocol::today ? "today, " : "", record_, what);
  }

  /// {"image": ..} of a column, or of a place in it: "image[3]".
  const Json& picture(const std::string& place) const {
    const Json& doc = record().at("doc");
    const std::size_t bracket = place.find('[');
    if (bracket != place.npos) return doc.at(place.substr(0, bracket)).at(std::stoul(place.substr(bracket + 1)));
    return doc.contains(place) ? doc.at(place) : json_.at("image_table").at(doc.at("imageId").get<std::string>());
  }

  std::string expected_turn() const {
    const bool chat = protocol_ == Protocol::today && record().contains("messages_today");
    std::string turn;
    if (!chat) {
      for (std::size_t i = 0; i < record().at("images").size(); ++i) turn += i == 0 ? "<image>" : " <image>";
      return turn + (turn.empty() ? "" : "\n") + expected(record(), "prompt", protocol_).get<std::string>();
    }
    for (const Json& piece : record().at("messages_today"))
      turn += piece.at("type") == "image" ? "<image>" : piece.at("text").get<std::string>();
    return turn;
  }

  void check_question() {
    const tasks::Question question = task_->question(record_);
    check_.texts(name("prompt"), expected_turn(), question.turns.back().text);
    std::vector<int64_t> wanted, given;
    for (const Json& place : record().at("images")) {
      const image::Size size = BenchmarkSet::size_of(picture(place));
      wanted.insert(wanted.end(), {size.width, size.height});
    }
    for (const image::Source& source : question.images)
      given.insert(given.end(), {source.header().size.width, source.header().size.height});
    check_.integers(name("images"), wanted, given);
    const Json& target = record().at("target");
    if (target == "answer") return check_.skip("targets that the set does not have");
    Json answers = Json::array();
    for (const auto& [answer, worth] : question.answers) answers.push_back(answer);
    check_.texts(name("target"), target.dump(), target.is_array() ? answers.dump() : Json(question.target).dump());
  }

  void check_response(const Json& response) {
    const tasks::Response given{.text = response.at("text")};
    const tasks::Judgement judgement = task_->judge(record_, given);
    const std::string what = "answer '" + given.text + "', ";
    if (response.contains("filtered"))
      check_.texts(name(what + "filtered"), expected(response, "filtered", protocol_), judgement.parsed);
    for (const auto& [key, value] : expected(response, "result", protocol_).items())
      check_result(name(what + key), key, value, response, judgement);
  }

  void check_result(const std::string& name, const std::string& key, const Json& value, const Json& response,
                    const tasks::Judgement& judgement) {
    const std::string text = response.at("text");
    if (key == "judge_prompt") return check_.texts(name, value, judge_prompt(record(), response));
    if (key == "prediction") return check_.texts(name, value, text::stripped(text));
    if (key == "inferred")
      return check_.texts(name, value.is_null() ? "" : value, silent_->judge(record_, {.text = text}).parsed);
    if (key == "static" || key == "parsed_pred") return check_parsed(name, value, judgement.parsed);
    if (key == "subdomain") return check_subject(name, value, judgement);
    if (key == "random_among") {
      const auto options = tasks::python_list(record().at("doc").at("options").get<std::string>());
      return check_.integers(name, {static_cast<int64_t>(value.size())}, {static_cast<int64_t>(options.size())});
    }
    if (value.is_number() || value.is_boolean())
      return check_.near(name,
                         value.is_number()   ? value.get<double>()
                         : value.get<bool>() ? 1
                                             : 0,
                         judgement.score, kDoubleRounding);
    for (const char* parsed : {"answer", "pred", "prediction"})
      if (value.contains(parsed) && (key == "submission" || parsed != std::string("answer")))
        check_.texts(name, value.at(parsed), judgement.parsed);
    if (value.contains("score")) check_.near(name, value.at("score"), judgement.score, kDoubleRounding);
  }

  /// A letter, or the numbers and texts of an open answer.
  void check_parsed(const std::string& name, const Json& value, const std::string& parsed) {
    if (!value.is_array()) return check_.texts(name, value.is_null() ? "" : value, parsed);
    check_.texts(name, sorted(value), sorted(parse_json(parsed, name)));
  }

  /// What a list holds, in an order of its own: the case has sets.
  static std::string sorted(const Json& list) {
    std::set<std::string> values;
    for (const Json& value : list) values.insert(value.is_number() ? Json(value.get<double>()).dump() : value.dump());
    return fmt::format("{}", fmt::join(values, ", "));
  }

  /// The subject of a question has a row of its own in the table.
  void check_subject(const std::string& name, const std::string& subject, const tasks::Judgement& judgement) {
    const tasks::Answered one{.question = record_, .judgement = judgement};
    check_.texts(name, subject, task_->table({&one, 1}).back().name);
  }

  std::vector<tasks::Score> table(const tasks::Task& task, const Json& inputs) const {
    std::vector<tasks::Answered> answered;
    for (const Json& pair : inputs) {
      const auto record = pair.at(0).get<int64_t>();
      const Json& responses = json_.at("records").at(static_cast<std::size_t>(record)).at("responses");
      const Json& response = responses.at(pair.at(1).get<std::size_t>());
      const tasks::Response given{.text = response.at("text")};
      answered.push_back({record, given, task.judge(record, given)});
    }
    return task.table(answered);
  }

  void check_score(const std::string& name, const Json& value, const std::vector<tasks::Score>& scores,
                   const std::string& row, double factor) {
    for (const tasks::Score& score : scores) {
      if (score.name != row) continue;
      if (value.is_object()) return check_.texts(name + " fails", "yes", score.missing.empty() ? "no" : "yes");
      if (!score.missing.empty()) return check_.fault(name + " is missing: " + score.missing);
      return check_.near(name, factor * value.get<double>(), score.value, 100 * kDoubleRounding);
    }
    check_.fault(name + " has no row");
  }

  void check_aggregate(const Json& aggregate) {
    const Json& inputs = aggregate.at("inputs");
    const std::vector<tasks::Score> plain = table(*task_, inputs), drawn = table(*silent_, inputs);
    judge_.take_calls();
    const std::vector<tasks::Score> judged = table(*judged_, inputs);
    const int64_t calls = judge_.take_calls();
    for (const auto& [key, value] : expected(aggregate, "score", protocol_).items()) {
      const std::string name =
          fmt::format("{}{} of {}", protocol_ == Protocol::today ? "today, " : "", key, inputs.dump());
      if (key == "judge_settings") {
        check_.skip("settings of a judge");
      } else if (key == "judge_calls") {
        check_.integers(name, {value.get<int64_t>()}, {calls});
      } else if (key == "details.judge_unreachable") {
        check_categories(name, value, drawn);
      } else if (key.starts_with("gpt_eval_score")) {
        check_score(name, value,
                    key.ends_with("judge")    ? judged
                    : key.ends_with("static") ? plain
                                              : drawn,
                    "gpt_eval_score", 1);
        if (key.ends_with("unreachable") && protocol_ == Protocol::paper)
          check_score(name + " without a judge", value, plain, "gpt_eval_score", 1);
      } else {
        check_score(name, value, plain, name_of_metric(key), key.starts_with("mme_") ? 1 : 100);
      }
    }
  }

  /// As the protocol calls it.
  std::string name_of_metric(const std::string& metric) const {
    const Json& names = json_.at("metrics");
    const auto place = static_cast<std::size_t>(std::find(names.begin(), names.end(), metric) - names.begin());
    return place < names.size() ? expected(json_, "metrics", protocol_).at(place).get<std::string>() : metric;
  }

  void check_categories(const std::string& name, const Json& details, const std::vector<tasks::Score>& scores) {
    check_score(name, details.at("overall_acc"), scores, "gpt_eval_score", 100);
    for (const auto& [category, value] : details.at("category_acc").items())
      check_score(name, value, scores, "category " + category, 100);
    for (const auto& [category, value] : details.at("l2_category_acc").items())
      check_score(name, value, scores, "L2-category " + category, 100);
  }

  /// The first draws after a seed.
  void check_draws() {
    if (json_.contains("judge_unreachable_draws")) {
      tasks::PythonRandom random(2680);
      for (const Json& letter : json_.at("judge_unreachable_draws"))
        check_.texts("draw", letter, std::string(1, "ABCDE"[random.below(5)]));
    }
    const Json among = json_.value("random_choice_seed_0", Json::object());
    for (const auto& [count, letters] : among.items()) {
      tasks::PythonRandom random(0);
      std::string drawn;
      for (std::size_t i = 0; i < letters.get<std::string>().size(); ++i)
        drawn += static_cast<char>('A' + random.below(static_cast<uint32_t>(std::stoul(count))));
      check_.texts("draws among " + count, letters, drawn);
    }
  }

  const Json& json_;
  Protocol protocol_;
  CaseJudge judge_;
  std::unique_ptr<tasks::Task> task_;    ///< Without a judge.
  std::unique_ptr<tasks::Task> silent_;  ///< With one that does not reply.
  std::unique_ptr<tasks::Task> judged_;
  Check& check_;
  int64_t record_ = 0;
};

}  // namespace

Check run_benchmark(const Json& json) {
  Check check;
  const BenchmarkSet set(json);
  for (const Protocol protocol : {Protocol::paper, Protocol::today}) BenchmarkRun(json, set, protocol, check).run();
  return check;
}

}  // namespace lithe::golden

#include "eval/run_pair.h"

#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/printable.h"
#include "eval/samples_file.h"
#include "eval/task_run.h"

namespace lithe::eval {
namespace {

namespace fs = std::filesystem;

struct Run {
  Json result;
  std::map<int64_t, Json> answers;
};

Run read_run(const fs::path& folder) {
  const fs::path file = folder / kResult;
  require(is_there(file) && is_there(folder / kSamples), Fault::bad_file, "The folder ", in_quotes(folder.string()),
          " holds no run of `lithe eval`; give the folders that it wrote.");
  Run run{.result = read_json_file(file), .answers = SamplesFile(folder / kSamples).take_answers()};
  require(run.result.is_object() && run.result.value("schema", "") == kSchema && run.result.contains("task"),
          Fault::bad_file, "The run in ", in_quotes(folder.string()), " has no scores yet; run it again.");
  return run;
}

double score_of(const Json& line) {
  require(line.contains("score") && line.at("score").is_number() && !line.contains("scores"), Fault::bad_request,
          "A ranking has no score for each question; give runs of another task.");
  return line.at("score").get<double>();
}

/// The questions that the run is of: all, or the first ones.
bool is_asked(const Run& run, int64_t question) {
  return !run.result.contains("limit") || question < run.result.at("limit").get<int64_t>();
}

void require_scores(const Run& run, const fs::path& folder) {
  const auto scores = run.result.find("scores");
  require(scores == run.result.end() || !scores->empty() || run.answers.empty(), Fault::bad_request, "The run in ",
          in_quotes(folder.string()),
          " has no scores, as its split keeps its answers secret; give runs of another split.");
}

std::string metric_of(const Run& run) {
  return run.result.value("settings", Json::object()).value("metric", "score");
}

ScorePair pair_of(const Json& first, const Json& second, bool by_nll) {
  if (!by_nll) return {score_of(first), score_of(second)};
  require(first.contains("nll") && second.contains("nll"), Fault::bad_file,
          "A line of the runs has no nll; run them again with another --output.");
  const auto tokens = first.at("answer_tokens").get<int64_t>();
  require(tokens > 0 && second.at("answer_tokens") == tokens, Fault::bad_request,
          "The runs cut the answers into other tokens, so their nll can't be compared; compare models with one ",
          "tokenizer.");
  const auto count = static_cast<double>(tokens);
  return {first.at("nll").get<double>() / count, second.at("nll").get<double>() / count, count};
}

}  // namespace

RunPair read_run_pair(const fs::path& first, const fs::path& second) {
  const Run a = read_run(first), b = read_run(second);
  require_scores(a, first);
  require_scores(b, second);
  for (const char* key : {"task", "split", "protocol"})
    require(a.result.value(key, "") == b.result.value(key, ""), Fault::bad_request, "The folders ",
            in_quotes(first.string()), " and ", in_quotes(second.string()), " hold runs with another ", key,
            "; give two runs with the same.");
  require(metric_of(a) == metric_of(b), Fault::bad_request, "The folders ", in_quotes(first.string()), " and ",
          in_quotes(second.string()), " hold runs with another metric; give two runs with the same.");
  RunPair pair{.task = a.result.at("task"),
               .first_model = a.result.value("model", ""),
               .second_model = b.result.value("model", ""),
               .first_plan = a.result.value("plan", ""),
               .second_plan = b.result.value("plan", "")};
  pair.by_nll = metric_of(a) == "nll";
  int64_t answers = 0;
  for (const auto& [question, line] : b.answers) answers += is_asked(b, question) ? 1 : 0;
  for (const auto& [question, line] : a.answers) {
    if (!is_asked(a, question)) continue;
    ++answers;
    const auto other = b.answers.find(question);
    if (other == b.answers.end() || !is_asked(b, question)) continue;
    require(line.at("id") == other->second.at("id"), Fault::bad_request, "Question ", question, " of ",
            in_quotes(first.string()), " is another one than that of ", in_quotes(second.string()),
            "; give runs over the same data.");
    pair.scores.push_back(pair_of(line, other->second, pair.by_nll));
  }
  require(!pair.scores.empty(), Fault::bad_request, "The runs in ", in_quotes(first.string()), " and ",
          in_quotes(second.string()), " have no answered question in common; give runs over the same questions.");
  pair.left_out = answers - 2 * std::ssize(pair.scores);
  return pair;
}

}  // namespace lithe::eval

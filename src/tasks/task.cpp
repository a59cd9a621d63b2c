#include "tasks/task.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/printable.h"
#include "base/suggestion.h"
#include "text/words.h"

namespace lithe::tasks {

std::unique_ptr<Task> open_ai2d(const TaskOptions& options);
std::unique_ptr<Task> open_aid(const TaskOptions& options);
std::unique_ptr<Task> open_chartqa(const TaskOptions& options);
std::unique_ptr<Task> open_docvqa(const TaskOptions& options);
std::unique_ptr<Task> open_exact_match(const TaskOptions& options);
std::unique_ptr<Task> open_flickr30k(const TaskOptions& options);
std::unique_ptr<Task> open_gqa(const TaskOptions& options);
std::unique_ptr<Task> open_infovqa(const TaskOptions& options);
std::unique_ptr<Task> open_mmbench(const TaskOptions& options);
std::unique_ptr<Task> open_mme(const TaskOptions& options);
std::unique_ptr<Task> open_mmmu(const TaskOptions& options);
std::unique_ptr<Task> open_nlvr2(const TaskOptions& options);
std::unique_ptr<Task> open_ok_vqa(const TaskOptions& options);
std::unique_ptr<Task> open_pope(const TaskOptions& options);
std::unique_ptr<Task> open_realworldqa(const TaskOptions& options);
std::unique_ptr<Task> open_scienceqa(const TaskOptions& options);
std::unique_ptr<Task> open_scienceqa_img(const TaskOptions& options);
std::unique_ptr<Task> open_seedbench(const TaskOptions& options);
std::unique_ptr<Task> open_slake(const TaskOptions& options);
std::unique_ptr<Task> open_snli_ve(const TaskOptions& options);
std::unique_ptr<Task> open_textvqa(const TaskOptions& options);
std::unique_ptr<Task> open_vqav2(const TaskOptions& options);

namespace {

constexpr const char* kWord = "Answer the question using a single word or phrase.";
constexpr const char* kLetter = "Answer with the option's letter from the given choices directly.";
constexpr int64_t kLongAnswer = 1024;  // what the published evaluation allows if a task does not say

}  // namespace

const std::vector<TaskInfo>& all_tasks() {
  static const std::vector<TaskInfo> table{
      {"scienceqa", "accuracy by subject, context and grade", Asks::text, "", "test", "", 64, open_scienceqa},
      {"vqav2", "VQA accuracy", Asks::text, "vqa", "val", kWord, 16, open_vqav2},
      {"nlvr2", "accuracy: is a sentence about two pictures true?", Asks::label, "nlvr2", "test1",
       "Is this sentence about the two pictures true? Answer True or False.", 8, open_nlvr2},
      {"snli_ve", "accuracy: entailment, neutral or contradiction?", Asks::label, "snli", "test",
       "Does the picture prove this sentence? Answer entailment, neutral or contradiction.", 8, open_snli_ve},
      {"flickr30k", "recall at 1, 5 and 10 of pictures and of captions", Asks::ranking, "rank", "test", "", 0,
       open_flickr30k},
      {"slake", "accuracy of open and of closed questions about medical pictures", Asks::text, "", "test", kWord, 10,
       open_slake},
      {"aid", "accuracy of the kind of scene in aerial pictures", Asks::text, "", "test50",
       "Answer the question using a single word.", 10, open_aid},
      {"exact_match", "share of the answers of any data set that are given word for word", Asks::text, "", "", "", 64,
       open_exact_match},
      {"ai2d", "diagrams of science books: options", Asks::text, "", "test", kLetter, 16, open_ai2d, true},
      {"chartqa", "charts: words, and numbers to 5 %", Asks::text, "", "test",
       "Answer the question with a single word.", 16, open_chartqa, true},
      {"docvqa_val", "documents: likeness to the answer (ANLS)", Asks::text, "", "validation", kWord, 32, open_docvqa,
       true},
      {"gqa", "scenes: words", Asks::text, "", "testdev", kWord, 16, open_gqa, true},
      {"infovqa_val", "infographics: likeness to the answer (ANLS)", Asks::text, "", "validation", kWord, 32,
       open_infovqa, true},
      {"mmbench_en_dev", "options, each question in every order of them", Asks::text, "", "dev", kLetter, kLongAnswer,
       open_mmbench, true},
      {"mme", "yes or no, two questions about each picture: points", Asks::text, "", "test", kWord, 16, open_mme, true},
      {"mmmu_val", "college subjects: options and open questions", Asks::text, "", "validation", kLetter, 128,
       open_mmmu, true, true},
      {"ok_vqa_val2014", "questions that need outside knowledge: VQA accuracy", Asks::text, "", "val2014",
       "When the provided information is insufficient, respond with 'Unanswerable'.\n"
       "Answer the question using a single word or phrase.",
       kLongAnswer, open_ok_vqa, true},
      {"pope", "is there such a thing in the picture? accuracy and F1", Asks::text, "", "test", kWord, 128, open_pope,
       true},
      {"realworldqa", "photographs of streets and rooms: options and words", Asks::text, "", "test", "", 16,
       open_realworldqa, true},
      {"scienceqa_img", "ScienceQA's questions with pictures, by lmms-eval's rules", Asks::text, "", "test", kLetter,
       16, open_scienceqa_img, true},
      {"seedbench", "options about pictures", Asks::text, "", "image", kLetter, kLongAnswer, open_seedbench, true},
      {"textvqa_val", "text in photographs: VQA accuracy", Asks::text, "", "validation", kWord, kLongAnswer,
       open_textvqa, true},
  };
  return table;
}

const TaskInfo& task_named(const std::string& name) {
  std::vector<std::string> names;
  std::string list;
  for (const TaskInfo& task : all_tasks()) {
    if (task.name == name) return task;
    names.emplace_back(task.name);
    list += (list.empty() ? "" : ", ") + names.back();
  }
  const std::string closest = closest_name(name, names);
  fail(Fault::bad_request, "There is no task ", in_quotes(name),
       closest.empty() ? "" : "; did you mean " + closest + "?", closest.empty() ? "; there are " : " There are ", list,
       ".");
}

std::unique_ptr<Task> open_task(const std::string& name, TaskOptions options) {
  const TaskInfo& info = task_named(name);
  require(options.prompt.empty() || name == "scienceqa", Fault::bad_request, "The task ", name,
          " has one form of prompts; leave --prompt out.");
  require(options.protocol == Protocol::paper || info.has_protocols, Fault::bad_request, "The task ", name,
          " has one set of formulas; leave --protocol out.");
  require(!options.judge || name == "mmbench_en_dev", Fault::bad_request, "The task ", name,
          " needs no judge; leave --judge out.");
  if (options.split.empty()) options.split = info.split;
  if (!options.instruction) options.instruction = info.instruction;
  std::unique_ptr<Task> task = info.open(options);
  const std::string split = options.split.empty() ? "" : "The split " + in_quotes(options.split) + " of ";
  require(task->size() > 0, Fault::bad_file, split.empty() ? "The task " : split, name, " in ",
          in_quotes(options.data.string()),
          " has no questions; put the whole set there, or choose another split (docs/tasks.md).");
  return task;
}

bool HeadLabels::complete() const {
  return !names.empty() && std::none_of(names.begin(), names.end(), [](const auto& name) { return name.empty(); });
}

void Question::ask(const std::string& prompt, const std::string& instruction) {
  std::string marks;
  const std::size_t count = prompt.find("<image>") == prompt.npos ? images.size() : 0;
  for (std::size_t i = 0; i < count; ++i) marks += i + 1 < count ? "<image> " : "<image>\n";
  turns = {{"user", marks + prompt + (instruction.empty() ? "" : "\n" + instruction)}};
}

Score mean_row(std::string name, std::span<const double> values) {
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  Score score{.name = std::move(name), .value = 100 * mean, .questions = static_cast<int64_t>(values.size())};
  if (values.size() < 2) return score;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  score.standard_error = 100 * std::sqrt(squares / (count - 1) / count);
  return score;
}

std::vector<Score> mean_score(const char* name, std::span<const Answered> answered) {
  std::vector<double> values;
  for (const Answered& one : answered) values.push_back(one.judgement.score);
  if (values.empty()) return {};
  return {mean_row(name, values)};
}

std::string Task::kept(const std::string& answer) const {
  return text::stripped(answer);
}

image::Source Task::candidate(int64_t i) const {
  fail(Fault::internal, "Candidate ", i, " of a task without candidates was asked for.");
}

int64_t Task::pair_of(int64_t i) const {
  fail(Fault::internal, "The candidate of question ", i, " of a task without candidates was asked for.");
}

}  // namespace lithe::tasks

#include "tasks/task.h"

#include "base/error.h"
#include "base/printable.h"
#include "base/suggestion.h"

namespace lithe::tasks {

std::unique_ptr<Task> open_aid(const TaskOptions& options);
std::unique_ptr<Task> open_exact_match(const TaskOptions& options);
std::unique_ptr<Task> open_flickr30k(const TaskOptions& options);
std::unique_ptr<Task> open_nlvr2(const TaskOptions& options);
std::unique_ptr<Task> open_scienceqa(const TaskOptions& options);
std::unique_ptr<Task> open_slake(const TaskOptions& options);
std::unique_ptr<Task> open_snli_ve(const TaskOptions& options);
std::unique_ptr<Task> open_vqav2(const TaskOptions& options);

const std::vector<TaskInfo>& all_tasks() {
  static const std::vector<TaskInfo> table{
      {"scienceqa", "accuracy by subject, context and grade", Asks::text, "", "test", "", 64, open_scienceqa},
      {"vqav2", "VQA accuracy", Asks::text, "vqa", "val", "Answer the question using a single word or phrase.", 16,
       open_vqav2},
      {"nlvr2", "accuracy: is a sentence about two pictures true?", Asks::label, "nlvr2", "test1",
       "Is this sentence about the two pictures true? Answer True or False.", 8, open_nlvr2},
      {"snli_ve", "accuracy: entailment, neutral or contradiction?", Asks::label, "snli", "test",
       "Does the picture prove this sentence? Answer entailment, neutral or contradiction.", 8, open_snli_ve},
      {"flickr30k", "recall at 1, 5 and 10 of pictures and of captions", Asks::ranking, "rank", "test", "", 0,
       open_flickr30k},
      {"slake", "accuracy of open and of closed questions about medical pictures", Asks::text, "", "test",
       "Answer the question using a single word or phrase.", 10, open_slake},
      {"aid", "accuracy of the kind of scene in aerial pictures", Asks::text, "", "test50",
       "Answer the question using a single word.", 10, open_aid},
      {"exact_match", "share of the answers of any data set that are given word for word", Asks::text, "", "", "", 64,
       open_exact_match},
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
  if (options.split.empty()) options.split = info.split;
  if (!options.instruction) options.instruction = info.instruction;
  return info.open(options);
}

void Question::ask(const std::string& prompt, const std::string& instruction) {
  std::string marks;
  for (std::size_t i = 0; i < images.size(); ++i) marks += i + 1 < images.size() ? "<image> " : "<image>\n";
  turns = {{"user", marks + prompt + (instruction.empty() ? "" : "\n" + instruction)}};
}

std::vector<Score> mean_score(const char* name, std::span<const Answered> answered) {
  if (answered.empty()) return {};
  double sum = 0;
  for (const Answered& one : answered) sum += one.judgement.score;
  const auto count = static_cast<int64_t>(answered.size());
  return {{name, 100 * sum / static_cast<double>(count), count}};
}

image::Source Task::candidate(int64_t i) const {
  fail(Fault::internal, "Candidate ", i, " of a task without candidates was asked for.");
}

int64_t Task::pair_of(int64_t i) const {
  fail(Fault::internal, "The candidate of question ", i, " of a task without candidates was asked for.");
}

}  // namespace lithe::tasks

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/record.h"
#include "image/decode.h"
#include "image/source.h"

namespace lithe::tasks {

/// What a model is asked for.
enum class Asks {
  text,     ///< An answer in words.
  label,    ///< One of a few labels: a score for each by a model with a head, or in words.
  ranking,  ///< A score for each candidate picture, by a model with a head.
};

/// A question of a benchmark.
struct Question {
  std::string id;      ///< No other question of the task has it.
  std::string text;    ///< The question, sentence or caption alone: what a model with a head reads.
  std::string target;  ///< The answer that is right, as a model is tuned to give it; empty: the set keeps it secret.
  /// If several answers are right, or half right: each with its worth from 0 to 1. VQAv2 has them.
  std::vector<std::pair<std::string, double>> answers;
  /// What a model that answers in words reads; "<image>" marks where each picture goes. The last turn is the user's.
  std::vector<data::Turn> turns;
  std::vector<image::Source> images;
  std::vector<std::vector<int64_t>> needed;  ///< As data::Record's.

  /// Makes the turn of a user who asks this about the pictures. `instruction`: on a line after it, unless it is empty.
  /// The pictures' marks come first, unless `prompt` has marks of its own.
  void ask(const std::string& prompt, const std::string& instruction);
};

/// How likely a model makes the right answer.
struct AnswerLoss {
  double nll = 0;      ///< The negative log-likelihood, summed over the answer's tokens.
  int64_t tokens = 0;  ///< At least one.
};

/// What a model gave. A score per label is kept as the best label alone.
struct Response {
  std::string text;              ///< The answer in words; of a head the name of its best label, if labels have names.
  std::optional<int64_t> label;  ///< Of a model with a head.
  std::vector<float> scores;     ///< Of a ranking, one per candidate.
  std::optional<AnswerLoss> loss = {};  ///< In place of the others, if the right answer was scored (gold_answers.h).
};

/// What a response is worth.
struct Judgement {
  std::string parsed;  ///< What was read from it; empty: nothing could be.
  double score = 0;    ///< From 0 to 1; the task says what it means.
};

/// A question that has been answered.
struct Answered {
  int64_t question = 0;
  Response response;
  Judgement judgement;
};

/// A number of the table.
struct Score {
  std::string name;
  double value = 0;                           ///< In percent, unless the task says otherwise.
  int64_t questions = 0;                      ///< That it is a mean over.
  std::string missing;                        ///< Why it has no value; empty: it has one.
  std::optional<double> standard_error = {};  ///< Of a mean over two questions or more, in the unit of `value`.
};

/// The names of the classes of a METER head, as a set tells them.
struct HeadLabels {
  std::vector<std::string> names;  ///< By class; empty: the set does not tell it.
  bool numbered = false;           ///< The set numbers its answers. False: they were counted, so all are known.

  /// Whether a head of so many classes may have been trained with them.
  bool fit(int64_t classes) const {
    const auto count = static_cast<int64_t>(names.size());
    return count > 0 && (numbered ? count <= classes : count == classes);
  }
  /// Whether every class has a name.
  bool complete() const;
};

/// A benchmark, opened. All functions may be called from several threads.
class Task {
 public:
  virtual ~Task() = default;
  virtual int64_t size() const = 0;
  /// The id of question `i` from 0, without its pictures. Throws Error{bad_file}, as question() does.
  virtual std::string id(int64_t i) const = 0;
  /// Reads the headers of its pictures, not their pixels. Throws Error{bad_file} that names the
  /// record.
  virtual Question question(int64_t i) const = 0;
  /// What is kept of an answer in words: without white space at its ends, unless the task looks at that too.
  virtual std::string kept(const std::string& answer) const;
  /// What a response to question `i` is worth. A ranking is only worth something as a whole.
  virtual Judgement judge(int64_t i, const Response& response) const = 0;
  /// The table over what was answered, in the order of the questions. Groups without a question are left out.
  virtual std::vector<Score> table(std::span<const Answered> answered) const = 0;
  /// Of a ranking: the pictures.
  virtual int64_t candidates() const { return 0; }
  virtual image::Source candidate(int64_t i) const;
  /// Of a ranking: the candidate that is right for question `i`.
  virtual int64_t pair_of(int64_t i) const;
  /// The names of the classes that a METER head has which learns this set; no names if its classes need none, or the
  /// set does not tell. The first call may read the whole set. Throws Error{bad_file}.
  virtual HeadLabels head_labels() const { return {}; }
  /// The questions that such a head learns from; absent: all. The first call may read the whole set.
  virtual std::optional<std::vector<int64_t>> learnable() const { return std::nullopt; }
};

/// The mean of values from 0 to 1, in percent. There is at least one.
Score mean_row(std::string name, std::span<const double> values);

/// The mean of the scores, in percent; no row if nothing was answered.
std::vector<Score> mean_score(const char* name, std::span<const Answered> answered);

/// Whose formulas count if they changed: those of the lmms-eval with which p-MoD's paper was made, or today's.
enum class Protocol { paper, today };

/// Asks a language model about an answer that no rule can read. Absent: it did not reply.
using Judge = std::function<std::optional<std::string>(const std::string& prompt)>;

/// How a task is opened.
struct TaskOptions {
  std::filesystem::path data;              ///< The set as it was downloaded: a folder.
  std::string split;                       ///< Empty: the task's own.
  std::string prompt;                      ///< ScienceQA: the form of its prompts. Empty: the task's own.
  std::optional<std::string> instruction;  ///< After each question, on a line of its own; absent: the task's own.
  std::string family;                      ///< Of the model: some were tuned on other prompts.
  Protocol protocol = Protocol::paper;
  Judge judge;  ///< MMBench; null: none.
  image::DecodeOptions decode;
};

/// A row of the table of tasks.
struct TaskInfo {
  const char* name;
  const char* what;  ///< What it measures, for --help.
  Asks asks;
  const char* head;  ///< Of METER, that scores it; empty: none does.
  const char* split;
  const char* instruction;
  int64_t max_tokens;  ///< Of an answer.
  std::unique_ptr<Task> (*open)(const TaskOptions& options);
  bool has_protocols = false;     ///< One of lmms-eval, whose formulas TaskOptions::protocol picks.
  bool asks_by_protocol = false;  ///< And its prompts.
};

/// A new benchmark is a file with its class, and a row here.
const std::vector<TaskInfo>& all_tasks();

/// Throws Error{bad_request} for a name that no task has.
const TaskInfo& task_named(const std::string& name);

/// Opens it, with its own split and instruction if `options` leave them out. Throws Error{bad_file} for data that are
/// not there or not as expected, Error{bad_request} for options that it does not take.
std::unique_ptr<Task> open_task(const std::string& name, TaskOptions options);

}  // namespace lithe::tasks

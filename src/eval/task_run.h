#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "eval/kept_tokens.h"
#include "eval/samples_file.h"
#include "eval/settings.h"
#include "eval/shard.h"
#include "session/session.h"
#include "tasks/task.h"

namespace lithe::eval {

/// The files of a run.
inline constexpr const char* kResult = "result.json";
inline constexpr const char* kSamples = "samples.jsonl";
inline constexpr const char* kSchema = "lithe-eval/1";

/// Which questions of a task are asked.
struct Part {
  std::optional<int64_t> limit;  ///< The first ones alone. Not a setting: a later call may ask more.
  Shard shard;
};

/// A question that is asked, and what tells it from others when a run is continued. Made before its pictures are taken
/// out of it or decoded.
struct AskedQuestion {
  AskedQuestion() = default;
  AskedQuestion(tasks::Question asked) : state(state_of(asked)), question(std::move(asked)) {}

  std::string state;
  tasks::Question question;
};

/// What a run has done.
struct Tally {
  int64_t questions = 0;                         ///< That are to be answered in all.
  int64_t before = 0;                            ///< Answered by earlier calls.
  int64_t answered = 0, failed = 0, tokens = 0;  ///< By this one.
  std::string first_error;                       ///< Of those that failed.

  int64_t left() const { return questions - before - answered - failed; }
  Tally& operator+=(const Tally& more);
};

/// A run over a task in a folder: samples.jsonl with a line for each question as it is answered, and result.json with
/// the settings and, at the end, the scores. A folder that holds the same run is continued.
class TaskRun {
 public:
  /// `settings`: whatever makes the answers other ones; the shard is one of them. Throws Error{bad_request} if the
  /// folder holds another run, Error{bad_file}.
  TaskRun(const tasks::Task& task, std::filesystem::path folder, Json settings, const Part& part);

  /// The next question that has no answer; absent: every one has been handed out.
  std::optional<int64_t> next();
  /// Judges a response and writes its line. `more`: further keys of the line. Throws Error.
  void answer(int64_t i, const AskedQuestion& asked, const tasks::Response& response, Json more);
  /// Writes the line of a question that has no answer. It is asked again by the next call.
  void fail(int64_t i, const std::string& id, const Error& error);
  const Tally& tally() const { return tally_; }

  /// Writes result.json and returns it. `facts`: keys beside the scores.
  Json finish(const Json& facts);

 private:
  void check_folder() const;
  void take_before();
  void take_counts(int64_t i, const Json& line);
  /// Counted operations over the answered questions that are wanted, beside dense; absent if some were not counted.
  std::optional<double> counted_share() const;
  /// The recall over the questions that are wanted; empty if nothing is known of any.
  Recall recall() const;
  /// Whether question `i` is to be asked.
  bool is_wanted(int64_t i) const { return i < end_ && part_.shard.has(i); }

  const tasks::Task& task_;
  std::filesystem::path folder_;
  Json settings_;
  Part part_;
  int64_t end_;  ///< Of the questions, by the limit.
  std::optional<SamplesFile> samples_;
  std::map<int64_t, tasks::Answered> answered_;
  std::map<int64_t, KeptTokens> kept_;               ///< Of answered questions whose needed tokens are known.
  std::map<int64_t, session::CountedCost> counted_;  ///< Of answered questions.
  Tally tally_;
  int64_t next_ = 0;
};

}  // namespace lithe::eval

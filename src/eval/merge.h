#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "eval/shard_set.h"
#include "tasks/task.h"

namespace lithe::eval {

/// The shards of one run, each in the folder that it was written to.
class Shards {
 public:
  /// Throws Error{bad_request} if they are not all shards of one run, each once, with the same settings;
  /// Error{bad_file} if one is damaged or has questions that it never asked.
  explicit Shards(const std::vector<std::filesystem::path>& folders);

  const Json& settings() const { return settings_; }  ///< Of the whole run.
  const Json& facts() const { return facts_; }        ///< Keys of its result beside the scores.
  int64_t failed() const { return failed_; }          ///< Questions whose line is an error.

  /// Makes `out` the folder of the whole run and scores it; the result is its result.json. `protocol`: of the scores,
  /// if it is not that of the shards. Throws Error{bad_request} if the folder holds a run.
  Json write(const tasks::Task& task, const std::filesystem::path& out, const std::string& protocol) const;

 private:
  void take(const std::filesystem::path& folder);
  void take_samples(const std::filesystem::path& folder, const Shard& shard);
  void check_whole() const;

  ShardSet shards_{{.places = "folders", .run = "run", .runs = "runs"}};
  Json settings_, facts_;
  std::optional<int64_t> limit_;
  std::map<int64_t, std::string> lines_;  ///< By the number of the question.
  int64_t failed_ = 0;
};

}  // namespace lithe::eval

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/json.h"
#include "eval/shard.h"

namespace lithe::cli {

inline constexpr const char* kBatchShardSchema = "lithe-batch-shard/1";

/// The part of a batch that this process does: a file of its own for the answers, and beside it a note that tells
/// `lithe merge` which part it is, with which settings, and whether it is done. Of a whole batch, nothing but its file.
class BatchShard {
 public:
  BatchShard(const eval::Shard& shard, const std::string& output);

  const eval::Shard& shard() const { return shard_; }
  /// "answers.jsonl" -> "answers.shard-0-of-4.jsonl"
  const std::string& output() const { return output_; }

  /// Writes the note. Throws Error{bad_request} if there is one of a shard with other settings, Error{bad_file}.
  void begin(Json settings);
  /// Writes it again: every request of the shard has been asked, so many in all.
  void finish(int64_t requests) const;

 private:
  Json note() const;

  eval::Shard shard_;
  std::string output_;
  Json settings_;
};

/// The note beside the answers of a shard.
std::filesystem::path note_of(const std::filesystem::path& output);

/// Joins shards into `output`. Throws Error{bad_request} if they are not all shards of one batch, each once, with the
/// same settings; Error{bad_file} if one is damaged or not done. What it did, as JSON.
Json merge_batch(const std::vector<std::filesystem::path>& shards, const std::filesystem::path& output);

}  // namespace lithe::cli

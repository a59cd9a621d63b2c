#pragma once

#include <cstdint>
#include <filesystem>
#include <map>

#include "base/json.h"
#include "eval/shard.h"

namespace lithe::eval {

/// What messages call the places of shards and what they are parts of: "folders", "run", "runs".
struct ShardWords {
  const char *places, *run, *runs;
};

/// Shards that are joined: all of one run, each once.
class ShardSet {
 public:
  explicit ShardSet(const ShardWords& words) : words_(words) {}

  /// `settings`: what all shards must agree in. Throws Error{bad_request} if they or the number of shards differ from
  /// those of the first one, or if this one is there already.
  void add(const Shard& shard, const std::filesystem::path& place, const Json& settings);
  /// Throws Error{bad_request} if one is missing.
  void check_whole() const;

  int64_t count() const { return count_; }  ///< Of the whole run, by the first shard.
  const std::map<int64_t, std::filesystem::path>& places() const { return places_; }  ///< By the number of the shard.

 private:
  ShardWords words_;
  int64_t count_ = 0;
  std::filesystem::path first_;  ///< Where `settings_` came from.
  Json settings_;
  std::map<int64_t, std::filesystem::path> places_;
};

}  // namespace lithe::eval

#pragma once

#include <cstdint>
#include <string>

namespace lithe::eval {

/// One of `count` parts of a run: every `count`-th question from number `index` on.
struct Shard {
  int64_t index = 0, count = 1;

  bool is_whole() const { return count == 1; }
  bool has(int64_t question) const { return question % count == index; }
  bool operator==(const Shard&) const = default;
};

/// "2/8"
std::string text_of(const Shard& shard);

/// Of "I/N" with I from 0 to N - 1. "auto": as the process was started, by Slurm as one of an array of jobs, or by a
/// launcher (base/launcher.h). Throws Error{bad_request}.
Shard parse_shard(const std::string& text);

/// What a shard adds to the name of its output: "shard-2-of-8".
std::string name_of(const Shard& shard);

}  // namespace lithe::eval

#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <span>
#include <vector>

#include "models/model.h"
#include "session/generation.h"
#include "session/kept_recorder.h"
#include "session/row_origin.h"

namespace lithe::session {

/// Rows that a sequence held, with their keys and values.
struct HeldRows {
  RowOrigin origin;
  Generation generation;
  std::vector<LayerRun> runs;  ///< What the layers did with the rows.

  /// At most the first `rows` rows, which share their blocks; no picture is parted.
  HeldRows first(int64_t rows) const;
};

/// A sequence that runs and holds its prompt, as a place to take rows from. All outlive the look-up.
struct RunningRows {
  const RowOrigin* origin;  ///< Of the prompt.
  const Generation* generation;
  const std::vector<LayerRun>* runs;
};

/// The first rows of a prompt, as another sequence holds them.
struct Prefix {
  int64_t rows = 0;
  const Generation* generation = nullptr;  ///< May hold more rows. Null if there are no rows.
  const std::vector<LayerRun>* runs = nullptr;

  Generation take_generation() const { return generation->first(rows); }
  std::vector<LayerRun> take_runs() const;
};

/// Keys and values of sequences that have ended, so that a prompt with the same beginning need not compute them again.
/// Bounded in bytes; a block that several sequences share counts once; the least recently used sequence is forgotten
/// first. A prompt takes only rows that come out as in a pass over all of it (plan/reuse.h). Rows of another plan or
/// salt are never taken.
class PrefixCache {
 public:
  PrefixCache(const models::Model& model, int64_t most_bytes)
      : model_(model), most_bytes_(most_bytes), allowed_bytes_(most_bytes) {}

  bool on() const { return most_bytes_ > 0; }
  /// The longest beginning of a prompt that is held here or by one of the sequences that run. Valid until the cache or
  /// that sequence changes.
  Prefix find(const RowOrigin& prompt, std::span<const RunningRows> running);
  /// Keeps what a later prompt could take of a sequence, if there is room for it.
  void insert(HeldRows held);
  /// From now on it holds at most this much, and never more than it may at all.
  void allow(int64_t bytes);
  int64_t bytes() const { return bytes_; }

 private:
  using Entries = std::list<HeldRows>;

  /// How many rows a prompt may take, if they are more than `best`.
  int64_t more_rows(const RowOrigin& held, const RowOrigin& prompt, int64_t best) const;
  HeldRows useful_part(HeldRows held) const;
  bool replaces(const HeldRows& held, const HeldRows& other) const;
  void count(const HeldRows& held, int64_t sign);
  Entries::iterator forget(Entries::iterator entry);
  void forget_down_to(int64_t bytes);

  const models::Model& model_;
  const int64_t most_bytes_;
  int64_t allowed_bytes_, bytes_ = 0;
  Entries entries_;                         // the most recently used first
  std::map<const void*, int64_t> holders_;  // of each block, how many entries hold it
};

}  // namespace lithe::session

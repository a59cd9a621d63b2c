#include "session/prefix_cache.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace lithe::session {
namespace {

/// Fewer rows are not taken: a sequence copies its last block of each layer, on a GPU all rows, before it adds rows.
constexpr int64_t kFewestRows = 16;

std::vector<LayerRun> first_of(const std::vector<LayerRun>& runs, int64_t rows) {
  std::vector<LayerRun> some;
  for (const LayerRun& run : runs) some.push_back(run.first(rows));
  return some;
}

/// Calls `visit` with each block that a sequence holds.
template <class Visit>
void each_block(const Generation& generation, const Visit& visit) {
  for (const nn::LayerState& state : generation.states()) {
    for (const at::Tensor& block : state.rows(state.length()).blocks) visit(block);
  }
}

/// What is beside the blocks.
int64_t list_bytes(const HeldRows& held) {
  const std::vector<int64_t> rows = held.generation.rows_held();
  int64_t numbers = std::accumulate(rows.begin(), rows.end(), std::ssize(held.origin.ids));
  for (const LayerRun& run : held.runs) numbers += std::ssize(run.ran) + std::ssize(run.offered);
  return numbers * static_cast<int64_t>(sizeof(int64_t)) + held.origin.rows();
}

/// If no other sequence shares its blocks.
int64_t bytes_alone(const HeldRows& held) {
  int64_t bytes = list_bytes(held);
  for (const nn::LayerState& state : held.generation.states()) bytes += state.fitted_bytes();
  return bytes;
}

}  // namespace

HeldRows HeldRows::first(int64_t rows) const {
  RowOrigin some = origin.first(rows);
  const int64_t count = some.rows();
  return {std::move(some), generation.first(count), first_of(runs, count)};
}

std::vector<LayerRun> Prefix::take_runs() const {
  return first_of(*runs, rows);
}

int64_t PrefixCache::more_rows(const RowOrigin& held, const RowOrigin& prompt, int64_t best) const {
  const int64_t rows = rows_to_share(model_, held, prompt, best);
  return rows > best && rows >= kFewestRows ? rows : 0;
}

Prefix PrefixCache::find(const RowOrigin& prompt, std::span<const RunningRows> running) {
  Prefix best;
  if (!on()) return best;
  for (const RunningRows& sequence : running) {
    const int64_t rows = more_rows(*sequence.origin, prompt, best.rows);
    if (rows > 0) best = {rows, sequence.generation, sequence.runs};
  }
  Entries::iterator used = entries_.end();
  for (Entries::iterator entry = entries_.begin(); entry != entries_.end(); ++entry) {
    const int64_t rows = more_rows(entry->origin, prompt, best.rows);
    if (rows == 0) continue;
    best = {rows, &entry->generation, &entry->runs};
    used = entry;
  }
  if (used != entries_.end()) entries_.splice(entries_.begin(), entries_, used);
  return best;
}

/// What a prompt that begins with all the rows and goes on with text could take. No other prompt could take more.
HeldRows PrefixCache::useful_part(HeldRows held) const {
  RowOrigin useful = held.origin;
  for (int64_t rows = -1; rows != useful.rows();) {
    rows = rows_to_share_with_more(model_, held.origin, useful);
    if (rows != useful.rows()) useful = held.origin.first(rows);
    if (useful.rows() < kFewestRows) break;
  }
  return held.first(useful.rows());
}

/// Whether whatever could take rows of `other` could take the same rows of `held`.
bool PrefixCache::replaces(const HeldRows& held, const HeldRows& other) const {
  return held.origin.rows() >= other.origin.rows() &&
         rows_to_share_with_more(model_, held.origin, other.origin) == other.origin.rows();
}

void PrefixCache::insert(HeldRows held) {
  if (!on()) return;
  HeldRows useful = useful_part(std::move(held));
  if (useful.origin.rows() < kFewestRows || bytes_alone(useful) > allowed_bytes_) return;
  for (Entries::iterator entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (replaces(*entry, useful)) return entries_.splice(entries_.begin(), entries_, entry);
  }
  for (Entries::iterator entry = entries_.begin(); entry != entries_.end();) {
    entry = replaces(useful, *entry) ? forget(entry) : std::next(entry);
  }
  useful.generation.fit();
  count(useful, 1);
  entries_.push_front(std::move(useful));
  forget_down_to(allowed_bytes_);
}

void PrefixCache::allow(int64_t bytes) {
  allowed_bytes_ = std::clamp<int64_t>(bytes, 0, most_bytes_);
  forget_down_to(allowed_bytes_);
}

/// sign: 1 if it comes, -1 if it goes.
void PrefixCache::count(const HeldRows& held, int64_t sign) {
  bytes_ += sign * list_bytes(held);
  each_block(held.generation, [&](const at::Tensor& block) {
    int64_t& holders = holders_[block.const_data_ptr()];
    if ((sign > 0 ? holders : holders - 1) == 0) bytes_ += sign * static_cast<int64_t>(block.nbytes());
    holders += sign;
    if (holders == 0) holders_.erase(block.const_data_ptr());
  });
}

PrefixCache::Entries::iterator PrefixCache::forget(Entries::iterator entry) {
  count(*entry, -1);
  return entries_.erase(entry);
}

void PrefixCache::forget_down_to(int64_t bytes) {
  while (bytes_ > bytes && !entries_.empty()) forget(std::prev(entries_.end()));
}

}  // namespace lithe::session

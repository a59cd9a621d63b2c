#include "tune/heartbeat.h"

#include <condition_variable>

#include "base/error.h"

namespace lithe::tune {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kBeat{500};
constexpr seconds kSilence{30};         ///< A rank that says nothing for so long is taken to be dead.
constexpr seconds kSilenceIfBroken{4};  ///< The same after a connection broke.
constexpr seconds kLook{10};            ///< To find out which one that was.
constexpr seconds kSeeOff{10};
constexpr const char* kReason = "reason";
constexpr const char* kLeft = "left";

constexpr const char* kAdvice =
    "; look at its messages, then start all ranks again with `resume_from_checkpoint: true` to go on from the last "
    "checkpoint";

std::string beat_of(int64_t rank) {
  return concat("beat/", rank);
}

}  // namespace

Heartbeat::Heartbeat(const Store& store, int64_t rank, int64_t size)
    : rank_(rank), size_(size), store_(store->clone()), others_(static_cast<size_t>(size)), looked_(Clock::now()) {
  store_->set(beat_of(rank_), std::string("0"));
  thread_ = std::jthread([this](const std::stop_token& end) { live(end); });
}

Heartbeat::~Heartbeat() {
  thread_.request_stop();
  thread_.join();
  try {
    store_->set(beat_of(rank_), std::string(kLeft));
    see_off();
  } catch (const std::exception&) {  // whoever held the store has left already
  }
}

void Heartbeat::see_off() {
  for (const auto end = Clock::now() + kSeeOff; Clock::now() < end; std::this_thread::sleep_for(kBeat / 10)) {
    look();
    const std::lock_guard lock(mutex_);
    bool all = true;
    for (int64_t rank = 0; rank < size_; ++rank) {
      const Other& other = others_[static_cast<size_t>(rank)];
      all &= rank == rank_ || other.left || (lost_ && Clock::now() - other.changed > kSilenceIfBroken);
    }
    if (all) return;
  }
}

std::optional<std::string> Heartbeat::lost() const {
  const std::lock_guard lock(mutex_);
  if (!lost_ && Clock::now() - looked_ > kSilence) return concat("rank 0 can't be reached any more", kAdvice);
  return lost_;
}

std::string Heartbeat::why_broken() const {
  for (const auto end = Clock::now() + kLook; Clock::now() < end; std::this_thread::sleep_for(kBeat)) {
    if (std::optional<std::string> reason = lost()) return *reason;
    const std::string silent = silent_since(kSilenceIfBroken);
    if (!silent.empty()) return concat(silent, " ended or can't be reached", kAdvice);
  }
  return concat("the connection to another rank broke", kAdvice);
}

void Heartbeat::tell(const std::string& sentence) {
  {
    const std::lock_guard lock(mutex_);
    if (lost_) return;  // the others know
    lost_ = sentence;
  }
  try {
    store_->set(kReason, concat("rank ", rank_, " ended: ", sentence));
  } catch (const std::exception&) {  // nobody is left to be told
  }
}

void Heartbeat::live(const std::stop_token& end) {
  std::mutex mutex;
  std::condition_variable_any ended;
  std::unique_lock lock(mutex);
  for (int64_t beat = 1; !end.stop_requested(); ++beat) {
    try {
      store_->set(beat_of(rank_), std::to_string(beat));
      look();
    } catch (const std::exception&) {
      const std::lock_guard guard(mutex_);
      if (!lost_) lost_ = concat("rank 0, or its launcher, ended or can't be reached", kAdvice);
      return;
    }
    ended.wait_for(lock, end, kBeat, [] { return false; });
  }
}

void Heartbeat::look() {
  std::vector<std::string> names;
  for (int64_t rank = 0; rank < size_; ++rank) names.push_back(beat_of(rank));
  const bool reason_is_there = store_->check({kReason});
  const std::string reason = reason_is_there ? store_->get_to_str(kReason) : "";
  {
    const std::lock_guard lock(mutex_);
    looked_ = Clock::now();
    if (reason_is_there && !lost_) lost_ = reason;
  }
  // Ranks that have not begun to live yet have no beat, and a wait for it would stop this one's.
  if (!store_->check(names)) return;
  const auto beats = store_->multiGet(names);
  const std::lock_guard lock(mutex_);
  note_beats(beats);
}

void Heartbeat::note_beats(const std::vector<std::vector<uint8_t>>& beats) {
  for (int64_t rank = 0; rank < size_; ++rank) {
    const auto i = static_cast<size_t>(rank);
    Other& other = others_[i];
    const std::string beat(beats[i].begin(), beats[i].end());
    if (beat != other.beat) other.changed = looked_;
    other.beat = beat;
    other.left = beat == kLeft;
    if (rank == rank_ || other.left || looked_ - other.changed < kSilence || lost_) continue;
    lost_ = concat("rank ", rank, " has not been heard of for ", kSilence.count(), " s", kAdvice);
  }
}

std::string Heartbeat::silent_since(seconds most) const {
  const std::lock_guard lock(mutex_);
  std::string ranks;
  int64_t count = 0;
  for (int64_t rank = 0; rank < size_; ++rank) {
    const Other& other = others_[static_cast<size_t>(rank)];
    if (rank == rank_ || (!other.left && Clock::now() - other.changed <= most)) continue;
    ranks += (ranks.empty() ? "" : ", ") + std::to_string(rank);
    ++count;
  }
  if (count == 0) return "";
  return (count == 1 ? "rank " : "ranks ") + ranks;
}

}  // namespace lithe::tune

#include "serve/log_writer.h"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <utility>

#include "serve/access_log.h"

namespace lithe::serve {
namespace {

constexpr std::chrono::seconds kPatience{1};

}  // namespace

struct LogWriter::State {
  explicit State(Sink to) : sink(std::move(to)) {}

  const Sink sink;
  std::mutex mutex;  // of what follows
  std::condition_variable changed;
  std::deque<std::string> lines;
  std::size_t bytes = 0;  // of the lines
  int64_t dropped = 0;    // since the last line
  bool ending = false, ended = false;

  void put(std::string line) {
    bytes += line.size();
    lines.push_back(std::move(line));
  }
  void note_dropped() {
    if (dropped > 0) put(dropped_line(std::exchange(dropped, 0)));
  }
};

LogWriter::LogWriter(Sink sink)
    : state_(std::make_shared<State>(std::move(sink))), thread_([state = state_] { hand_over(*state); }) {}

LogWriter::~LogWriter() {
  end(kPatience);
}

void LogWriter::write(std::string line) {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->ending) return;
    if (state_->bytes + line.size() > kMostBytes) {
      ++state_->dropped;
      return;
    }
    state_->note_dropped();
    state_->put(std::move(line));
  }
  state_->changed.notify_all();
}

void LogWriter::end(std::chrono::milliseconds patience) {
  if (!thread_.joinable()) return;
  std::unique_lock lock(state_->mutex);
  state_->ending = true;
  state_->changed.notify_all();
  const bool ended = state_->changed.wait_for(lock, patience, [this] { return state_->ended; });
  lock.unlock();
  if (ended) return thread_.join();
  thread_.detach();
}

/// The thread's work, until everything is written after end().
void LogWriter::hand_over(State& state) {
  std::unique_lock lock(state.mutex);
  while (true) {
    state.changed.wait(lock, [&state] { return !state.lines.empty() || state.dropped > 0 || state.ending; });
    if (state.lines.empty()) state.note_dropped();
    if (state.lines.empty()) break;
    const std::string line = std::move(state.lines.front());
    state.lines.pop_front();
    lock.unlock();
    try {
      state.sink(line);
    } catch (const std::exception&) {
      // Memory ran out, most likely: the log lacks a line.
    }
    lock.lock();
    state.bytes -= line.size();
  }
  state.ended = true;
  state.changed.notify_all();
}

}  // namespace lithe::serve

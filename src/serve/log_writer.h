#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>

namespace lithe::serve {

/// Hands lines of a log to a sink on a thread of its own. A sink that stalls (a pipe that nobody reads) holds up
/// nobody: lines that find no room are dropped, and a line of the log says how many.
class LogWriter {
 public:
  using Sink = std::function<void(const std::string& line)>;
  static constexpr std::size_t kMostBytes = std::size_t{1} << 20;  ///< Of lines that wait.

  explicit LogWriter(Sink sink);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// Does not wait for the sink. From one thread.
  void write(std::string line);
  /// Takes no more lines, and waits until the sink has those that it was to get, but not longer than `patience`. A sink
  /// that then still stalls keeps its thread.
  void end(std::chrono::milliseconds patience);

 private:
  struct State;
  static void hand_over(State& state);

  std::shared_ptr<State> state_;  // the thread's too
  std::thread thread_;
};

}  // namespace lithe::serve

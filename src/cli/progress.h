#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace lithe::cli {

/// Whether stderr is a terminal that can erase what it shows.
bool can_rewrite_stderr();

/// One line on stderr that says how far something is, rewritten in place. Nothing if stderr is not a terminal, or one
/// that can't erase (TERM=dumb).
class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();  ///< Wipes the line.
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  bool is_seen() const { return terminal_; }
  /// At once.
  void show(const std::string& state);
  /// For what changes often: at most ten times a second, and not in the first tenth.
  void update(const std::string& state);
  /// update() with bytes and their share.
  void update_bytes(int64_t done, int64_t total);
  void wipe();

  /// Wipes the line of whichever lives, from a signal handler.
  static void wipe_in_handler();

 private:
  std::string what_;
  std::string shown_;
  bool terminal_;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace lithe::cli

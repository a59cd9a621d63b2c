#pragma once

#include <stop_token>

namespace lithe::cli {

/// From here on Ctrl-C (SIGINT) ends the program at once with exit code 130, also if the program was started with that
/// signal ignored; except while an InterruptGuard lives. Called first by main.
void end_on_interrupt();

/// While it lives, the first Ctrl-C is remembered, so that an answer can end in good order; a second one ends the
/// program.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  static bool interrupted();

  /// For what is to end then. A signal handler may not touch it, so poll() passes the Ctrl-C on.
  std::stop_token token() const { return source_.get_token(); }
  void poll() {
    if (interrupted()) source_.request_stop();
  }

 private:
  std::stop_source source_;
};

}  // namespace lithe::cli

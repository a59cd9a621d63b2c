#pragma once

namespace lithe::cli {

/// While it lives, its first Ctrl-C is remembered instead of ending the program; the second ends it as ever.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  static bool interrupted();
};

}  // namespace lithe::cli

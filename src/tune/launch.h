#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/launcher.h"

namespace lithe::tune {

/// The environment variable of Launch::patience.
inline constexpr const char* kMeetingSeconds = "LITHE_MEETING_SECONDS";

/// What the program that started this process says of it: torchrun, mpirun, srun, or nobody.
struct Launch {
  int64_t rank = 0, size = 1;         ///< Number of this process, and how many there are.
  std::string address;                ///< MASTER_ADDR, the machine of rank 0; empty: the ranks meet in a shared folder.
  uint16_t port = 0;                  ///< MASTER_PORT, on which rank 0 is met.
  bool store_is_there = false;        ///< torchrun itself listens on that port.
  std::string attempt;                ///< torchrun starts anew what failed; ranks of two attempts must not meet.
  std::chrono::seconds patience{60};  ///< LITHE_MEETING_SECONDS: how long it waits for ranks that have not come.
};

/// Reads the launcher's variables (base/launcher.h), MASTER_ADDR, MASTER_PORT and LITHE_MEETING_SECONDS. Throws
/// Error{bad_request} if they contradict each other.
Launch read_launch(const Environment& environment);
/// Of this process.
Launch read_launch();

/// Number of this process among those on its machine; 0 if the launcher does not say. Throws Error{bad_request} for
/// what is no such number.
int64_t read_local_rank(const Environment& environment);

}  // namespace lithe::tune

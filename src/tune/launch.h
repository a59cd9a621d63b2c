#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace lithe::tune {

/// What the program that started this process says of it: torchrun, mpirun, srun, or nobody.
struct Launch {
  int64_t rank = 0, size = 1;   ///< Number of this process, and how many there are.
  std::string address;          ///< MASTER_ADDR, the machine of rank 0; empty: the ranks meet in a shared folder.
  uint16_t port = 0;            ///< MASTER_PORT, on which rank 0 is met.
  bool store_is_there = false;  ///< torchrun itself listens on that port.
  std::string attempt;          ///< torchrun starts anew what failed; ranks of two attempts must not meet.
};

/// The value of an environment variable, or null.
using Environment = std::function<const char*(const char*)>;

/// Reads RANK and WORLD_SIZE, or OMPI_COMM_WORLD_*, PMI_* or SLURM_*, in this order, and MASTER_ADDR and MASTER_PORT.
/// Throws Error{bad_request} if they contradict each other.
Launch read_launch(const Environment& environment);
/// Of this process.
Launch read_launch();

}  // namespace lithe::tune

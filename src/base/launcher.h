#pragma once

#include <functional>
#include <optional>

namespace lithe {

/// The value of an environment variable, or null.
using Environment = std::function<const char*(const char*)>;

/// Of this process.
const char* process_environment(const char* name);

/// The variables that say which of how many processes this one is, and which of those on its machine.
struct LauncherVariables {
  const char *rank, *size, *local_rank;
};

/// Those of the program that started this process: RANK and WORLD_SIZE (torchrun), OMPI_COMM_WORLD_* (Open MPI), PMI_*
/// (MPICH), or SLURM_* (srun), in this order; absent: nobody started several. Their values are not checked.
std::optional<LauncherVariables> launcher_variables(const Environment& environment);

}  // namespace lithe

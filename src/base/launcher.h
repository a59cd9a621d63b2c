#pragma once

#include <functional>
#include <optional>

namespace lithe {

/// The value of an environment variable, or null.
using Environment = std::function<const char*(const char*)>;

/// Of this process.
const char* process_environment(const char* name);

/// The variables that say which of how many processes this one is.
struct LauncherVariables {
  const char *rank, *size;
};

/// Those of the program that started this process: RANK and WORLD_SIZE (torchrun), OMPI_COMM_WORLD_* (Open MPI), PMI_*
/// (MPICH), or SLURM_* (srun), in this order; absent: nobody started several. Their values are not checked.
std::optional<LauncherVariables> launcher_variables(const Environment& environment);

/// The variable that says which of the processes of its machine this one is: the first that is set of LOCAL_RANK
/// (torchrun), OMPI_COMM_WORLD_LOCAL_RANK (Open MPI), MPI_LOCALRANKID (MPICH) and SLURM_LOCALID (srun), which also
/// starts processes with the other variables of another launcher. Null: nobody says it. Its value is not checked.
const char* local_rank_variable(const Environment& environment);

}  // namespace lithe

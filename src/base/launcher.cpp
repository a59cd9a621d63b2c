#include "base/launcher.h"

#include <cstdlib>

namespace lithe {
namespace {

/// SLURM_NTASKS is set in a batch script too, which runs alone; the number of tasks of a step is srun's.
constexpr LauncherVariables kLaunchers[] = {
    {"RANK", "WORLD_SIZE", "LOCAL_RANK"},
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
    {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"}};

}  // namespace

const char* process_environment(const char* name) {
  return std::getenv(name);
}

std::optional<LauncherVariables> launcher_variables(const Environment& environment) {
  for (const LauncherVariables& names : kLaunchers)
    if (environment(names.size) != nullptr) return names;
  return std::nullopt;
}

}  // namespace lithe

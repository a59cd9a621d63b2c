#include "base/launcher.h"

#include <cstdlib>

namespace lithe {
namespace {

/// SLURM_NTASKS is set in a batch script too, which runs alone; the number of tasks of a step is srun's.
constexpr LauncherVariables kLaunchers[] = {{"RANK", "WORLD_SIZE"},
                                            {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                            {"PMI_RANK", "PMI_SIZE"},
                                            {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}};

constexpr const char* kLocalRanks[] = {"LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"};

}  // namespace

const char* process_environment(const char* name) {
  return std::getenv(name);
}

std::optional<LauncherVariables> launcher_variables(const Environment& environment) {
  for (const LauncherVariables& names : kLaunchers)
    if (environment(names.size) != nullptr) return names;
  return std::nullopt;
}

const char* local_rank_variable(const Environment& environment) {
  for (const char* name : kLocalRanks)
    if (environment(name) != nullptr) return name;
  return nullptr;
}

}  // namespace lithe

#pragma once

#include <string>

#include "cli/cli11.h"

namespace lithe::cli {

/// Declares --shard; eval::parse_shard() reads it.
inline void add_shard(CLI::App& app, std::string& target) {
  app.add_option("--shard", target,
                 "Do part I of N alone, with I from 0 to N - 1; auto: by Slurm's array, torchrun, mpirun or srun")
      ->type_name("I/N|auto");
}

}  // namespace lithe::cli

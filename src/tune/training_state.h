#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tune/adamw.h"

namespace lithe::tune {

/// Where a run stands, besides its weights and its optimiser.
struct RunPoint {
  int64_t step = 0;            ///< Optimiser steps done.
  int64_t taken = 0;           ///< Records taken from the stream of samples.
  int64_t skipped = 0;         ///< Of those, left out.
  int64_t batch = 0;           ///< Records of a step, over all ranks; 0 in checkpoints that do not say it.
  std::optional<double> best;  ///< The best score so far.
  std::string best_checkpoint;
  std::string recipe;  ///< What must not change if the run goes on to the same losses.
};

/// Writes training_state.json and training_state.safetensors into `folder`: all that learns and the optimiser's state
/// in float32, so that the run goes on to the same losses bit for bit. Every rank must call it, as each holds a share
/// of the optimiser's state; all but the first pass no folder. Throws Error{bad_file}.
void write_training_state(const std::optional<std::filesystem::path>& folder, const RunPoint& point,
                          const AdamW& optimiser);

/// Reads them back into the same parameters. Throws Error{bad_file} if they are of other weights.
RunPoint read_training_state(const std::filesystem::path& folder, AdamW& optimiser);

/// A folder checkpoint-N of a run.
struct CheckpointFolder {
  int64_t step = 0;
  std::filesystem::path path;
};

/// The checkpoints below `output` that are whole, in the order of their steps.
std::vector<CheckpointFolder> checkpoints_in(const std::filesystem::path& output);

/// Throws Error{bad_file} for a folder checkpoint-N of a step after `step` that has no training state: a run could
/// neither go on from it nor write its own checkpoint there.
void refuse_stateless_after(const std::filesystem::path& output, int64_t step);

/// Removes a checkpoint so that a kill leaves it whole or out of the way: its name is free for another at once.
void remove(const CheckpointFolder& checkpoint);

/// Removes the oldest checkpoints below `output` if there are more than `most`, but never the one called `best`.
void keep_newest(const std::filesystem::path& output, int64_t most, const std::string& best);

/// Removes what kills left of checkpoints below `output`, in the making or being removed. No other run may write there.
void remove_parts(const std::filesystem::path& output);

}  // namespace lithe::tune

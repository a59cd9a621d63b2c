#pragma once

#include <optional>

#include "cli/cli11.h"
#include "session/batch.h"

namespace lithe::cli {

/// How much of a batch runs at once, as flags give it.
struct BatchLimitFlags {
  session::BatchLimits limits;
  std::optional<double> memory_gib;

  session::BatchLimits read() const;
};

/// Declares --batch-size, --prefill-rows and --memory.
void add_batch_limits(CLI::App& app, BatchLimitFlags& flags);

}  // namespace lithe::cli

#pragma once

#include <string>

#include "cli/batch_shard.h"
#include "cli/options.h"
#include "session/request.h"

namespace lithe::cli {

/// `lithe batch` over METER.
struct PairBatchOptions {
  std::string model, input, head;
  CommonOptions common;
  session::Question question;  ///< What holds for every line.
  int64_t together = 16;       ///< Requests that run at a time.
  BatchShard& shard;           ///< Whose settings are complete.
};

int run_pair_batch(const PairBatchOptions& options);

}  // namespace lithe::cli

#pragma once

#include <cstddef>
#include <cstdint>

#include "models/model.h"
#include "session/batch_memory.h"
#include "session/waiting_requests.h"

namespace lithe::session {

/// Requests that wait and are made ready together, and what they take.
struct Cohort {
  size_t count = 0;
  PictureNeeds pictures;
  int64_t least_rows = 0, most_rows = 0;  ///< Of the prompts.
  int64_t alone_bytes = 0;                ///< Most of one of them that runs alone.

  /// These and one more. A refused request takes nothing.
  Cohort with(const models::Model& model, const WaitingRequest& next) const;
};

}  // namespace lithe::session

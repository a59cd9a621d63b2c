#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <vector>

#include "session/answering.h"
#include "session/row_origin.h"
#include "session/tower_passes.h"
#include "session/waiting_requests.h"

namespace lithe::session {

/// A request that waited: ready to run, or the failure that keeps it from running.
struct JoiningRequest {
  int64_t ticket = 0;
  AnswerOptions options;
  std::vector<AnswerOptions> more;
  std::optional<ReadyRequest> ready;
  /// Of the prompt's rows. Absent: the contents of its pictures are not known.
  std::optional<RowOrigin> origin;
  std::exception_ptr failure;  ///< In place of `ready`.
};

/// Requests that are ready, and how their pictures became so.
struct Joining {
  std::vector<JoiningRequest> requests;
  TowerPasses::Count pictures;
};

/// What making requests ready may take.
struct MakingLimits {
  int64_t most_tiles = 0;     ///< Of a pass of the tower.
  int64_t picture_bytes = 0;  ///< Of the pictures that the workers prepare meanwhile.
};

/// Takes the first `count` requests from the queue and makes them ready, the pictures of all in the same passes of the
/// tower.
Joining make_ready(const models::Model& model, WaitingRequests& waiting, size_t count, const MakingLimits& limits,
                   PictureCache& cache);

}  // namespace lithe::session

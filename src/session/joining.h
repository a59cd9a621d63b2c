#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <vector>

#include "session/answering.h"
#include "session/waiting_requests.h"

namespace lithe::session {

/// A request that waited: ready to run, or the failure that keeps it from running.
struct JoiningRequest {
  int64_t ticket = 0;
  AnswerOptions options;
  std::vector<AnswerOptions> more;
  std::optional<ReadyRequest> ready;
  std::exception_ptr failure;  ///< In place of `ready`.
};

/// Takes the first `count` requests from the queue and makes them ready, the pictures of all in the same passes of the
/// tower. `most_tiles`: of a pass; `picture_bytes`: of the pictures that the workers prepare meanwhile.
std::vector<JoiningRequest> make_ready(const models::Model& model, WaitingRequests& waiting, size_t count,
                                       int64_t most_tiles, int64_t picture_bytes);

}  // namespace lithe::session

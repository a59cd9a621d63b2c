#include "session/member.h"

#include <utility>

#include "session/errors.h"
#include "session/watch.h"

namespace lithe::session {

Outcome cancelled(int64_t ticket) {
  return {.ticket = ticket, .answer = {.stop = StopReason::cancelled}};
}

Outcome failed(int64_t ticket, const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Cancelled& end) {
    return end.thrown ? failed(ticket, end.thrown) : cancelled(ticket);
  } catch (...) {
    return {.ticket = ticket, .error = error_of(thrown), .thrown = thrown};
  }
}

void add_branches(Member& first, std::vector<Member>& made) {
  std::vector<AnswerOptions> more = std::exchange(first.more, {});
  const int64_t each = std::exchange(first.cache_bytes, 0) / static_cast<int64_t>(more.size());
  first.branches->answers.resize(1 + more.size());
  try {
    for (AnswerOptions& options : more) {
      made.push_back({.ticket = first.ticket,
                      .answering = first.answering->branch(std::move(options)),
                      .cache_bytes = each,
                      .rows = first.rows,
                      .branches = first.branches,
                      .branch = first.branches->open});
      ++first.branches->open;
    }
  } catch (...) {
    first.branches->failure = std::current_exception();
    first.branches->ended = true;
  }
  first.answering->end_branching();
}

HeldRows held_rows(Member& member, const Answer& answer) {
  HeldRows held{std::move(*member.origin), member.answering->take_generation(), member.answering->runs()};
  const int64_t decoded = held.generation.next_position() - held.origin.rows();
  for (int64_t i = 0; i < decoded; ++i) {
    for (LayerRun& run : held.runs) run.ran.push_back(held.origin.rows());
    held.origin.add(answer.tokens[static_cast<size_t>(i)]);
  }
  return held;
}

}  // namespace lithe::session

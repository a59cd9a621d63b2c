#include "session/batch.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <span>
#include <utility>

#include "session/answering.h"
#include "session/batch_memory.h"
#include "session/errors.h"
#include "session/joining.h"
#include "session/memory.h"
#include "session/tickets.h"
#include "session/waiting_requests.h"
#include "session/watch.h"

namespace lithe::session {
namespace {

constexpr int64_t kMostTiles = 8;  // in a pass of the vision tower
constexpr int64_t kMostAhead = 4;  // requests that wait while all places are taken, so that their pictures are ready

struct Member {
  int64_t ticket = 0;
  std::unique_ptr<Answering> answering;
  int64_t cache_bytes = 0;  // worst case
  int64_t rows = 0;         // of the prompt
};

Outcome cancelled(int64_t ticket) {
  return {ticket, {.stop = StopReason::cancelled}, std::nullopt, nullptr};
}

/// What was thrown in place of an answer.
Outcome failed(int64_t ticket, const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Cancelled& end) {
    return end.thrown ? failed(ticket, end.thrown) : cancelled(ticket);
  } catch (...) {
    return {ticket, {}, error_of(thrown), thrown};
  }
}

/// Most bytes that the request's pictures take while they are prepared, one at a time.
int64_t decode_bytes(const models::Model& model, const Request& request) {
  const auto pictures = static_cast<int64_t>(request.images.size());
  int64_t most = 0;
  for (const image::Source& picture : request.images) most = std::max(most, preparing_bytes(model, picture, pictures));
  return most;
}

}  // namespace

class BatchRun::Impl {
 public:
  Impl(const models::Model& model, const BatchLimits& limits)
      : model_(model), limits_(limits), bytes_(limits.bytes.value_or(memory_available() / 2)), waiting_(model) {
    require(limits.sequences >= 1, Fault::bad_request, "the batch size is ", limits.sequences,
            ", it must be at least 1");
    require(limits.prefill_rows >= 1, Fault::bad_request, "the prompt tokens of a pass are ", limits.prefill_rows,
            ", they must be at least 1");
    require(bytes_ >= 1, Fault::bad_request, "the batch may use ", bytes_, " bytes, give it at least some mebibytes");
  }

  void submit(int64_t ticket, Request request, AnswerOptions options) {
    options.cancel = tickets_.open(ticket, options.cancel);
    waiting_.push({.ticket = ticket, .request = std::move(request), .options = std::move(options)});
  }

  void cancel(int64_t ticket) { tickets_.cancel(ticket); }

  bool wants_more() const {
    return static_cast<int64_t>(running_.size() + ready_.size() + waiting_.size()) < limits_.sequences + kMostAhead;
  }
  bool idle() const { return waiting_.empty() && ready_.empty() && running_.empty(); }

  std::vector<Outcome> step() {
    std::vector<Outcome> outcomes;
    leave_cancelled(outcomes);
    const size_t before = running_.size();
    admit(outcomes);
    if (!running_.empty()) run(before, outcomes);
    leave(running_, outcomes);
    for (const Outcome& outcome : outcomes) tickets_.close(outcome.ticket);
    return outcomes;
  }

  BatchState state() const {
    BatchState state = state_;
    state.waiting = static_cast<int64_t>(waiting_.size() + ready_.size());
    state.running = static_cast<int64_t>(running_.size());
    return state;
  }

 private:
  /// What is in memory, with `joining_rows` rows of prompts in the next pass, and one more member.
  Load load(const Member* more, int64_t joining_rows) const {
    Load load{.caches = more ? more->cache_bytes : 0,
              .joining_rows = joining_rows,
              .sequences = static_cast<int64_t>(running_.size()) + (more ? 1 : 0)};
    for (const Member& member : running_) load.caches += member.cache_bytes;
    for (const Member& member : ready_) load.ready_rows += member.rows;
    return load;
  }

  /// The first requests that wait, which are made ready together; at least one.
  struct Cohort {
    size_t count = 0;
    int64_t pictures = 0, decode = 0;       // most bytes of one picture while it is decoded
    int64_t least_rows = 0, most_rows = 0;  // of the prompts
  };

  Cohort with_next(Cohort cohort) {
    const WaitingRequest& next = waiting_.at(cohort.count++);
    if (next.refused) return cohort;
    const auto pictures = static_cast<int64_t>(next.pictures()),
               texts = static_cast<int64_t>(next.ids.size()) - pictures;
    cohort.pictures += pictures;
    cohort.decode = std::max(cohort.decode, decode_bytes(model_, next.request));
    cohort.least_rows += texts + pictures * least_rows(model_);
    cohort.most_rows += std::min(longest_sequence(model_), texts + pictures * most_rows(model_));
    return cohort;
  }

  Cohort next_cohort(int64_t joining_rows) {
    const Load now = load(nullptr, joining_rows);
    const size_t most = std::min(waiting_.size(), static_cast<size_t>(limits_.sequences) - running_.size());
    Cohort cohort = with_next({});
    while (cohort.count < most) {
      const Cohort more = with_next(cohort);
      if (joining_rows + more.least_rows > limits_.prefill_rows) break;
      if (tower_bytes(model_, now, more.most_rows, most_tiles(model_)) + more.decode > bytes_) break;
      cohort = more;
    }
    return cohort;
  }

  /// Makes the prompts of the requests that came first, if their pictures can be decoded beside what runs.
  bool prepare(int64_t joining_rows, std::vector<Outcome>& outcomes) {
    while (ready_.empty() && !waiting_.empty()) {
      const Cohort cohort = next_cohort(joining_rows);
      const auto bytes_in_tower = [&](int64_t tiles) {
        return tower_bytes(model_, load(nullptr, joining_rows), cohort.most_rows, tiles);
      };
      const int64_t fewest = most_tiles(model_);  // of one picture
      const int64_t least = bytes_in_tower(fewest) + cohort.decode;
      if (least > bytes_ && !running_.empty()) return false;
      if (least > bytes_) {
        refuse_first(least, outcomes);
        continue;
      }
      int64_t tiles = std::max(fewest, std::min(kMostTiles, cohort.pictures * fewest));
      while (tiles > fewest && bytes_in_tower(tiles) + cohort.decode > bytes_) --tiles;
      const int64_t for_pictures = bytes_ - bytes_in_tower(tiles);
      waiting_.give_up(for_pictures);
      note_peak(bytes_in_tower(tiles) + std::max(cohort.decode, waiting_.picture_bytes()));
      for (JoiningRequest& request : make_ready(model_, waiting_, cohort.count, tiles, for_pictures))
        take(request, outcomes);
    }
    return !ready_.empty();
  }

  void refuse_first(int64_t bytes, std::vector<Outcome>& outcomes) {
    const Error error(Fault::no_memory,
                      concat("the request needs ", bytes, " bytes to decode and encode its largest picture, and ",
                             bytes_, " may be used; use a smaller picture, or allow more memory."));
    outcomes.push_back(failed(waiting_.pop().ticket, std::make_exception_ptr(error)));
  }

  void take(JoiningRequest& request, std::vector<Outcome>& outcomes) {
    try {
      if (request.failure) std::rethrow_exception(request.failure);
      ready_.push_back(member_of(request));
    } catch (...) {
      outcomes.push_back(failed(request.ticket, std::current_exception()));
    }
  }

  /// Throws what the request is refused for.
  Member member_of(JoiningRequest& request) const {
    Member member{.ticket = request.ticket,
                  .answering = std::make_unique<Answering>(model_, std::move(*request.ready), request.options)};
    const Answering& answering = *member.answering;
    member.rows = answering.prompt().rows();
    member.cache_bytes = cache_bytes(model_, answering.plan(), answering.prompt(), answering.token_budget());
    const int64_t alone =
        worst_case(model_, {.caches = member.cache_bytes, .joining_rows = member.rows, .sequences = 1});
    require(alone <= bytes_, Fault::no_memory, "the request needs ", alone, " bytes for ", member.rows,
            " prompt tokens and ", answering.token_budget(), " new tokens, but only ", bytes_,
            " may be used; ask for fewer tokens, a shorter prompt, or allow more memory.");
    return member;
  }

  void admit(std::vector<Outcome>& outcomes) {
    int64_t rows = 0;
    while (static_cast<int64_t>(running_.size()) < limits_.sequences && prepare(rows, outcomes)) {
      const int64_t more = rows + ready_.front().rows;
      if (rows > 0 && more > limits_.prefill_rows) break;
      if (worst_case(model_, load(&ready_.front(), more)) > bytes_) break;
      rows = more;
      running_.push_back(std::move(ready_.front()));
      ready_.pop_front();
    }
    state_.bytes_admitted = worst_case(model_, load(nullptr, rows));
    waiting_.give_up(bytes_ - state_.bytes_admitted);
    waiting_.prepare_ahead(bytes_ - state_.bytes_admitted);
    note_peak(state_.bytes_admitted + waiting_.picture_bytes());
  }

  void note_peak(int64_t bytes) { state_.peak_bytes_admitted = std::max(state_.peak_bytes_admitted, bytes); }

  /// One pass over all. If it fails, those that just joined run alone, so that no request fails because of another's
  /// plan. If none joined, memory ran out, so every request runs alone.
  void run(size_t before, std::vector<Outcome>& outcomes) {
    try {
      return pass(running_);
    } catch (const FailedPass&) {
    }
    const size_t stay = before < running_.size() ? before : 0;
    std::vector<Member> suspects(std::make_move_iterator(running_.begin() + static_cast<std::ptrdiff_t>(stay)),
                                 std::make_move_iterator(running_.end()));
    running_.resize(stay);
    for (Member& member : suspects) {
      try {
        pass({&member, 1});
        running_.push_back(std::move(member));
      } catch (const FailedPass& failure) {
        outcomes.push_back(failed(member.ticket, std::make_exception_ptr(failure.error)));
      }
    }
  }

  void pass(std::span<const Member> members) {
    std::vector<Answering*> answers;
    for (const Member& member : members) answers.push_back(member.answering.get());
    if (!run_pass(model_, answers)) return;
    ++state_.passes;
    state_.tokens += static_cast<int64_t>(answers.size());
  }

  /// Ends what was cancelled since the last step.
  void leave_cancelled(std::vector<Outcome>& outcomes) {
    for (const int64_t ticket : waiting_.remove_cancelled()) outcomes.push_back(cancelled(ticket));
    const auto end = [](const Member& member) {
      if (member.answering->ended() && !member.answering->done()) member.answering->cancel();
    };
    std::for_each(ready_.begin(), ready_.end(), end);
    std::for_each(running_.begin(), running_.end(), end);
    leave(ready_, outcomes);
    leave(running_, outcomes);
  }

  template <class Members>
  static void leave(Members& members, std::vector<Outcome>& outcomes) {
    for (Member& member : members) {
      if (!member.answering->done()) continue;
      const std::exception_ptr failure = member.answering->failure();
      outcomes.push_back(failure ? failed(member.ticket, failure)
                                 : Outcome{member.ticket, member.answering->take(), std::nullopt, nullptr});
    }
    std::erase_if(members, [](const Member& member) { return member.answering->done(); });
  }

  const models::Model& model_;
  const BatchLimits limits_;
  const int64_t bytes_;
  Tickets tickets_;
  WaitingRequests waiting_;
  std::deque<Member> ready_;  // their prompts are ready; they wait for room
  std::vector<Member> running_;
  BatchState state_;
};

BatchRun::BatchRun(const Session& session, const BatchLimits& limits)
    : impl_(std::make_unique<Impl>(session.model(), limits)) {}
BatchRun::BatchRun(BatchRun&&) noexcept = default;
BatchRun::~BatchRun() = default;

void BatchRun::submit(int64_t ticket, Request request, AnswerOptions options) {
  impl_->submit(ticket, std::move(request), std::move(options));
}
void BatchRun::cancel(int64_t ticket) {
  impl_->cancel(ticket);
}
bool BatchRun::wants_more() const {
  return impl_->wants_more();
}
bool BatchRun::idle() const {
  return impl_->idle();
}
std::vector<Outcome> BatchRun::step() {
  return impl_->step();
}
BatchState BatchRun::state() const {
  return impl_->state();
}

}  // namespace lithe::session

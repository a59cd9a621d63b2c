#include "session/batch.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <span>
#include <utility>

#include "session/answering.h"
#include "session/batch_memory.h"
#include "session/errors.h"
#include "session/memory.h"
#include "session/watch.h"

namespace lithe::session {
namespace {

struct Waiting {
  int64_t ticket;
  Request request;
  AnswerOptions options;
};

struct Member {
  int64_t ticket = 0;
  std::unique_ptr<Answering> answering;
  int64_t cache_bytes = 0;  // worst case
  int64_t rows = 0;         // of the prompt
};

/// What was thrown in place of an answer.
Outcome failed(int64_t ticket, std::exception_ptr thrown) {
  return {ticket, {}, error_of(thrown), thrown};
}

Outcome cancelled(int64_t ticket) {
  return {ticket, {.stop = StopReason::cancelled}, std::nullopt, nullptr};
}

/// Most bytes that the request's pictures take while they are decoded, one at a time.
int64_t decode_bytes(const Request& request) {
  int64_t most = 0;
  for (const image::Source& picture : request.images) most = std::max(most, picture.header().decoding_bytes);
  return most;
}

}  // namespace

class BatchRun::Impl {
 public:
  Impl(const models::Model& model, const BatchLimits& limits)
      : model_(model), limits_(limits), bytes_(limits.bytes.value_or(memory_available() / 2)) {
    require(limits.sequences >= 1, Fault::bad_request, "the batch size is ", limits.sequences,
            ", it must be at least 1");
    require(limits.prefill_rows >= 1, Fault::bad_request, "the prompt tokens of a pass are ", limits.prefill_rows,
            ", they must be at least 1");
    require(bytes_ >= 1, Fault::bad_request, "the batch may use ", bytes_, " bytes, give it at least some mebibytes");
  }

  void submit(Waiting waiting) { waiting_.push_back(std::move(waiting)); }

  void cancel(int64_t ticket) {
    const auto waits =
        std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& w) { return w.ticket == ticket; });
    if (waits != waiting_.end()) {
      waiting_.erase(waits);
      cancelled_.push_back(cancelled(ticket));
    }
    if (next_ && next_->ticket == ticket) {
      next_.reset();
      cancelled_.push_back(cancelled(ticket));
    }
    for (Member& member : running_) {
      if (member.ticket == ticket) member.answering->cancel();
    }
  }

  bool wants_more() const {
    return static_cast<int64_t>(running_.size() + waiting_.size()) + (next_ ? 1 : 0) < limits_.sequences;
  }
  bool idle() const { return waiting_.empty() && !next_ && running_.empty() && cancelled_.empty(); }

  std::vector<Outcome> step() {
    std::vector<Outcome> outcomes = std::exchange(cancelled_, {});
    leave(outcomes);
    const size_t before = running_.size();
    admit(outcomes);
    if (!running_.empty()) run(before, outcomes);
    leave(outcomes);
    return outcomes;
  }

  BatchState state() const {
    BatchState state = state_;
    state.waiting = static_cast<int64_t>(waiting_.size()) + (next_ ? 1 : 0);
    state.running = static_cast<int64_t>(running_.size());
    return state;
  }

 private:
  /// Worst case of a pass: these caches, `rows` rows of `sequences` sequences and the embeddings of `prompt_rows` of
  /// them, with the longest of all prompts ready beside it, or being made ready from a picture that takes `decode`
  /// bytes.
  int64_t worst_case(int64_t caches, int64_t prompt_rows, int64_t rows, int64_t sequences, int64_t decode = 0) const {
    const models::DecoderConfig& config = model_.decoder.config;
    const int64_t embeddings = (prompt_rows + longest_sequence(model_)) * config.hidden * int64_t{sizeof(float)};
    return caches + embeddings + std::max(pass_bytes(model_, rows, sequences), encode_bytes(model_) + decode);
  }

  /// The same of what runs, with `prompt_rows` rows of prompts in the next pass, and one more member.
  int64_t worst_case_with(const Member* more, int64_t prompt_rows, int64_t decode = 0) const {
    int64_t caches = more ? more->cache_bytes : 0;
    for (const Member& member : running_) caches += member.cache_bytes;
    const auto sequences = static_cast<int64_t>(running_.size()) + (more ? 1 : 0);
    return worst_case(caches, prompt_rows, prompt_rows + sequences, sequences, decode);
  }

  /// Makes the prompt of the request that came first, if its pictures can be decoded beside what runs.
  bool prepare(int64_t joining_rows, std::vector<Outcome>& outcomes) {
    while (!next_ && !waiting_.empty()) {
      const int64_t decode = decode_bytes(waiting_.front().request);
      const int64_t during = worst_case_with(nullptr, joining_rows, decode);
      if (!running_.empty() && during > bytes_) return false;
      const Waiting first = std::move(waiting_.front());
      waiting_.pop_front();
      try {
        require(during <= bytes_, Fault::no_memory, "the request needs ", during,
                " bytes to decode and encode its largest picture, and ", bytes_,
                " may be used; use a smaller picture, or allow more memory.");
        state_.peak_bytes_admitted = std::max(state_.peak_bytes_admitted, during);
        next_ = member_of(first);
      } catch (const Cancelled& end) {
        outcomes.push_back(end.thrown ? failed(first.ticket, end.thrown) : cancelled(first.ticket));
      } catch (...) {
        outcomes.push_back(failed(first.ticket, std::current_exception()));
      }
    }
    return next_.has_value();
  }

  /// Encodes a request. Throws what it is refused for.
  Member member_of(const Waiting& waiting) const {
    Member member{.ticket = waiting.ticket,
                  .answering = std::make_unique<Answering>(model_, waiting.request, waiting.options)};
    const Answering& answering = *member.answering;
    member.rows = answering.prompt().rows();
    member.cache_bytes = cache_bytes(model_, answering.plan(), answering.prompt(), answering.token_budget());
    const int64_t alone = worst_case(member.cache_bytes, member.rows, member.rows + 1, 1);
    require(alone <= bytes_, Fault::no_memory, "the request needs ", alone, " bytes for ", member.rows,
            " prompt tokens and ", answering.token_budget(), " new tokens, but only ", bytes_,
            " may be used; ask for fewer tokens, a shorter prompt, or allow more memory.");
    return member;
  }

  void admit(std::vector<Outcome>& outcomes) {
    int64_t rows = 0;
    while (static_cast<int64_t>(running_.size()) < limits_.sequences && prepare(rows, outcomes)) {
      const int64_t more = rows + next_->rows;
      if (rows > 0 && more > limits_.prefill_rows) break;
      if (worst_case_with(&*next_, more) > bytes_) break;
      rows = more;
      running_.push_back(std::move(*next_));
      next_.reset();
    }
    state_.bytes_admitted = worst_case_with(nullptr, rows);
    state_.peak_bytes_admitted = std::max(state_.peak_bytes_admitted, state_.bytes_admitted);
  }

  /// One pass over all. If it fails, those that just joined run alone, so that nobody fails for another's plan. If none
  /// joined, memory ran out, so everyone runs alone.
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

  void leave(std::vector<Outcome>& outcomes) {
    for (Member& member : running_) {
      if (!member.answering->done()) continue;
      const std::exception_ptr failure = member.answering->failure();
      outcomes.push_back(failure ? failed(member.ticket, failure)
                                 : Outcome{member.ticket, member.answering->take(), std::nullopt, nullptr});
    }
    std::erase_if(running_, [](const Member& member) { return member.answering->done(); });
  }

  const models::Model& model_;
  const BatchLimits limits_;
  const int64_t bytes_;
  std::deque<Waiting> waiting_;
  std::optional<Member> next_;  // its prompt is ready, and there was no room yet
  std::vector<Member> running_;
  std::vector<Outcome> cancelled_;  // before they ran
  BatchState state_;
};

BatchRun::BatchRun(const Session& session, const BatchLimits& limits)
    : impl_(std::make_unique<Impl>(session.model(), limits)) {}
BatchRun::BatchRun(BatchRun&&) noexcept = default;
BatchRun::~BatchRun() = default;

void BatchRun::submit(int64_t ticket, Request request, AnswerOptions options) {
  impl_->submit({ticket, std::move(request), std::move(options)});
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

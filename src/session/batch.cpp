#include "session/batch.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <set>
#include <span>
#include <utility>

#include "ops/key_value_kind.h"
#include "session/answering.h"
#include "session/batch_memory.h"
#include "session/cohort.h"
#include "session/joining.h"
#include "session/member.h"
#include "session/memory.h"
#include "session/picture_cache.h"
#include "session/prefix_cache.h"
#include "session/tickets.h"
#include "session/waiting_requests.h"

namespace lithe::session {
namespace {

constexpr int64_t kMostTiles = 8;         // in a pass of the vision tower
constexpr int64_t kMostReadyRows = 4096;  // of prompts whose pictures go through the tower together
constexpr int64_t kMostAhead = 4;  // requests that wait while all places are taken, so that their pictures are ready
constexpr int64_t kWorthWaiting = 64;  // rows that a request gets by joining one pass later

}  // namespace

class BatchRun::Impl {
 public:
  Impl(const models::Model& model, const BatchLimits& limits)
      : model_(model),
        limits_(limits),
        bytes_(limits.bytes.value_or(memory_available() / 2)),
        pictures_(limits.picture_cache_bytes),
        prefixes_(model, limits.prefix_cache_bytes),
        waiting_(model, pictures_.on() || prefixes_.on()) {
    require(limits.sequences >= 1, Fault::bad_request, "the batch size is ", limits.sequences,
            ", it must be at least 1");
    require(limits.prefill_rows >= 1, Fault::bad_request, "the prompt tokens of a pass are ", limits.prefill_rows,
            ", they must be at least 1");
    require(bytes_ >= 1, Fault::bad_request, "the batch may use ", bytes_, " bytes, give it at least some mebibytes");
  }

  void submit(int64_t ticket, Request request, std::vector<AnswerOptions> answers, Turn turn,
              std::shared_ptr<const ReadPrompt> prompt) {
    require(!answers.empty() && static_cast<int64_t>(answers.size()) <= limits_.sequences, Fault::bad_request,
            answers.size(), " answers to one prompt are asked for, but from 1 to ", limits_.sequences,
            " run at a time; ask for fewer, or allow more at a time.");
    require(answers.size() == 1 || !request.given_answer, Fault::bad_request, answers.size(),
            " answers to one prompt are asked for, and an answer is given; leave one of both out.");
    const std::stop_token cancel = tickets_.open(ticket, answers.front().cancel);
    for (AnswerOptions& options : answers) {
      options.cancel = cancel;
      options.max_new_tokens = answers.front().max_new_tokens;
    }
    waiting_.push({.ticket = ticket,
                   .request = std::move(request),
                   .options = std::move(answers.front()),
                   .more = {std::make_move_iterator(answers.begin() + 1), std::make_move_iterator(answers.end())},
                   .turn = std::move(turn),
                   .prompt = std::move(prompt)});
  }

  void cancel(int64_t ticket) { tickets_.cancel(ticket); }

  bool wants_more() const {
    return static_cast<int64_t>(running_.size() + ready_.size() + waiting_.size()) < limits_.sequences + kMostAhead;
  }
  bool idle() const { return waiting_.empty() && ready_.empty() && running_.empty(); }

  std::vector<Outcome> step() {
    ended_.clear();
    leave_cancelled();
    const size_t before = running_.size();
    admit();
    if (!running_.empty()) run(before);
    leave(running_);
    for (const Outcome& outcome : outcomes_) tickets_.close(outcome.ticket);
    return std::exchange(outcomes_, {});
  }

  const std::vector<EndedAnswer>& ended() const { return ended_; }

  BatchState state() const {
    BatchState state = state_;
    state.waiting = static_cast<int64_t>(waiting_.size() + ready_.size());
    state.running = static_cast<int64_t>(running_.size());
    state.caches.prefix_bytes = prefixes_.bytes();
    state.caches.picture_bytes = pictures_.bytes();
    return state;
  }

 private:
  /// What is in memory, with `joining_rows` rows of prompts in a pass, and one more member, of whose prompt
  /// `more_chunk` of them are.
  Load load(const Member* more, int64_t joining_rows, int64_t more_chunk = 0) const {
    Load load{.joining_rows = joining_rows};
    std::set<const Branches*> prompts;
    const auto add = [&](const Member& member) {
      load.caches += member.cache_bytes;
      if (prompts.insert(member.branches.get()).second) load.caches += member.branches->prompt_bytes;
      load.joining_rows += member.more_rows();
      load.longest = std::max(load.longest, member.longest());
      load.sequences += member.answers();
    };
    for (const Member& member : running_) {
      add(member);
      if (!member.answering->prefilled()) load.ready_rows += member.rows - member.answering->longest_chunk();
    }
    if (more) add(*more);
    for (const Member& member : ready_) load.ready_rows += member.rows - (&member == more ? more_chunk : 0);
    return load;
  }

  /// Beside `taken` bytes the caches may have the rest, the rows of pictures first. -> what they leave of the rest
  int64_t rest_beside(int64_t taken) {
    const int64_t rest = std::max<int64_t>(0, bytes_ - taken);
    prefixes_.allow(rest - pictures_.bytes());
    pictures_.allow(rest - prefixes_.bytes());
    return rest - prefixes_.bytes() - pictures_.allowed_bytes();
  }

  /// The first requests that wait, at least one, and only so many that each could still run if nothing else ran and the
  /// prompts of the others waited beside it. Without pictures, only those that may join the next pass: later ones gain
  /// nothing by being ready, and can be overtaken meanwhile.
  Cohort next_cohort(const Load& now) {
    const size_t most = std::min(waiting_.size(), static_cast<size_t>(limits_.sequences) - running_.size());
    Cohort cohort = Cohort{}.with(model_, waiting_.at(0));
    while (cohort.count < most) {
      const Cohort more = cohort.with(model_, waiting_.at(cohort.count));
      const int64_t most_rows = more.pictures.tiles > 0 ? kMostReadyRows : 0;
      if (now.joining_rows + more.least_rows > std::max(limits_.prefill_rows, most_rows)) break;
      if (bytes_to_prepare(now, more) > bytes_) break;
      if (more.alone_bytes + embedding_bytes(model_, more.most_rows) > bytes_) break;
      cohort = more;
    }
    return cohort;
  }

  int64_t bytes_in_tower(const Load& now, const Cohort& cohort, int64_t tiles) const {
    return tower_bytes(model_, now, cohort.most_rows, tiles);
  }

  /// Of a cohort in the tower, one picture at a time, or of the pass after that, with the cohort's prompts beside it.
  int64_t bytes_to_prepare(const Load& now, const Cohort& cohort) const {
    Load beside = now;
    beside.ready_rows += cohort.most_rows;
    return std::max(bytes_in_tower(now, cohort, cohort.pictures.most_tiles) + cohort.pictures.preparing_bytes,
                    worst_case(model_, beside));
  }

  /// Makes the prompts of the requests that came first, if they and their pictures fit beside what runs.
  bool prepare(int64_t joining_rows) {
    while (ready_.empty() && !waiting_.empty()) {
      const Load now = load(nullptr, joining_rows);
      const Cohort cohort = next_cohort(now);
      const int64_t decoding = cohort.pictures.preparing_bytes, fewest = cohort.pictures.most_tiles;
      const int64_t least = bytes_to_prepare(now, cohort);
      if (least > bytes_ && !running_.empty()) return false;
      if (least > bytes_) {
        refuse_first(least);
        continue;
      }
      int64_t tiles = std::max(fewest, std::min(kMostTiles, cohort.pictures.tiles));
      while (tiles > fewest && bytes_in_tower(now, cohort, tiles) + decoding > bytes_) --tiles;
      const int64_t in_tower = bytes_in_tower(now, cohort, tiles);
      const int64_t for_pictures = decoding + rest_beside(in_tower + decoding);
      waiting_.give_up(for_pictures);
      note_peak(in_tower + std::max(decoding, waiting_.picture_bytes()) + prefixes_.bytes() +
                pictures_.allowed_bytes());
      take(make_ready(model_, waiting_, cohort.count, {tiles, for_pictures}, pictures_));
    }
    return !ready_.empty();
  }

  void take(Joining joining) {
    state_.caches.pictures_asked += joining.pictures.asked;
    state_.caches.pictures_found += joining.pictures.found;
    for (JoiningRequest& request : joining.requests) take(request);
  }

  void refuse_first(int64_t bytes) {
    const bool sees = waiting_.at(0).pictures() > 0;
    const Error error(
        Fault::no_memory,
        concat("the request needs ", bytes, " bytes for its prompt",
               sees ? " and to decode and encode its largest picture" : "", ", and ", bytes_, " may be used; use ",
               sees ? "a smaller picture" : "a shorter prompt", ", or allow more memory."));
    outcomes_.push_back(failed(waiting_.pop().ticket, std::make_exception_ptr(error)));
  }

  void take(JoiningRequest& request) {
    try {
      if (request.failure) std::rethrow_exception(request.failure);
      ready_.push_back(member_of(request));
    } catch (...) {
      outcomes_.push_back(failed(request.ticket, std::current_exception()));
    }
  }

  /// Throws what the request is refused for.
  Member member_of(JoiningRequest& request) const {
    Member member{.ticket = request.ticket,
                  .answering = std::make_unique<Answering>(model_, std::move(*request.ready), request.options)};
    const Answering& answering = *member.answering;
    member.origin = std::move(request.origin);
    member.rows = answering.prompt().rows();
    member.branches->prompt_bytes = cache_bytes(model_, answering.plan(), answering.prompt(), answering.token_budget());
    if (!request.more.empty()) {
      member.answering->will_branch();
      member.more = std::move(request.more);
      member.cache_bytes =
          branch_bytes(model_, answering.plan(), answering.prompt(), answering.token_budget(), member.answers() - 1);
    }
    const int64_t chunk = member.answering->cut_prompt(0, limits_.prefill_rows);
    const Load load{.caches = member.branches->prompt_bytes + member.cache_bytes,
                    .joining_rows = chunk + member.more_rows(),
                    .sequences = member.answers(),
                    .longest = member.longest(),
                    .ready_rows = member.rows - chunk};
    const int64_t alone = worst_case(model_, load);
    require(alone <= bytes_, Fault::no_memory, "the request needs ", alone, " bytes for ", member.rows,
            " prompt tokens and ", answering.token_budget(), " new tokens, but only ", bytes_,
            " may be used; ask for fewer tokens, a shorter prompt, or allow more memory.");
    return member;
  }

  int64_t places_taken() const {
    int64_t taken = 0;
    for (const Member& member : running_) taken += member.answers();
    return taken;
  }

  /// Prompt rows of the next pass so far, at most: chunks of long prompts, and what runs again as a pass was given up.
  int64_t joining_rows() const {
    int64_t rows = 0;
    for (const Member& member : running_) rows += member.answering->longest_chunk();
    return rows;
  }

  void admit() {
    int64_t rows = joining_rows();
    while (places_taken() < limits_.sequences && prepare(rows)) {
      Member& next = ready_.front();
      if (places_taken() + next.answers() > limits_.sequences) break;
      const Prefix prefix = find_prefix(next);
      next.held_rows = prefix.rows;
      if (gets_more_from_joining(next)) break;
      const int64_t chunk = next.answering->cut_prompt(next.held_rows, limits_.prefill_rows);
      const int64_t more = rows + chunk;
      if (rows > 0 && more > limits_.prefill_rows) break;
      if (worst_case(model_, load(&next, more, chunk)) > bytes_) break;
      rows = more;
      if (prefix.rows > 0) next.answering->begin_after(prefix.take_generation(), prefix.take_runs());
      state_.caches.prefix_rows_asked += next.rows;
      state_.caches.prefix_rows_found += next.held_rows;
      running_.push_back(std::move(next));
      ready_.pop_front();
    }
    const Load admitted = load(nullptr, rows);
    state_.bytes_admitted = worst_case(model_, admitted);
    state_.cache_bytes = admitted.caches;
    const int64_t for_pictures = rest_beside(state_.bytes_admitted);
    waiting_.give_up(for_pictures);
    waiting_.prepare_ahead(for_pictures);
    note_peak(state_.bytes_admitted + waiting_.picture_bytes() + prefixes_.bytes() + pictures_.bytes());
  }

  /// The longest beginning of a request's prompt that another sequence holds.
  Prefix find_prefix(const Member& next) {
    std::vector<RunningRows> running;
    for (const Member& member : running_) {
      const Answering& answering = *member.answering;
      if (member.origin && answering.prefilled())
        running.push_back({&*member.origin, &answering.generation(), &answering.runs()});
    }
    return next.origin ? prefixes_.find(*next.origin, running) : Prefix{};
  }

  /// Whether a request that joins the next pass will hold more that this one can use.
  bool gets_more_from_joining(const Member& next) const {
    const int64_t least = next.held_rows + kWorthWaiting - 1;
    return prefixes_.on() && next.origin && std::any_of(running_.begin(), running_.end(), [&](const Member& member) {
             return member.origin && !member.answering->prefilled() &&
                    rows_to_share(model_, *member.origin, *next.origin, least) > least;
           });
  }

  void note_peak(int64_t bytes) { state_.peak_bytes_admitted = std::max(state_.peak_bytes_admitted, bytes); }

  /// One pass over all. If it fails, those that just joined run alone, so that no request fails because of another's
  /// plan. If none joined, memory ran out, so every request runs alone.
  void run(size_t before) {
    run_pass_or_alone(before);
    branch();
  }

  void run_pass_or_alone(size_t before) {
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
      } catch (const FailedPass& failure) {
        member.answering->fail(std::make_exception_ptr(failure.error));
      }
      running_.push_back(std::move(member));
    }
  }

  /// Makes the further answers to the prompts that have just run.
  void branch() {
    std::vector<Member> made;
    for (Member& first : running_) {
      if (first.answering->can_branch()) add_branches(first, made);
    }
    state_.tokens += static_cast<int64_t>(made.size());
    std::move(made.begin(), made.end(), std::back_inserter(running_));
  }

  void pass(std::span<const Member> members) {
    std::vector<Answering*> answers;
    for (const Member& member : members) answers.push_back(member.answering.get());
    if (!run_pass(model_, answers)) return;
    ++state_.passes;
    state_.tokens +=
        std::count_if(answers.begin(), answers.end(), [](const Answering* one) { return one->prefilled(); });
  }

  /// Ends what was cancelled since the last step.
  void leave_cancelled() {
    for (const int64_t ticket : waiting_.remove_cancelled()) outcomes_.push_back(cancelled(ticket));
    const auto end = [](const Member& member) {
      if ((member.branches->ended || member.answering->ended()) && !member.answering->done())
        member.answering->cancel();
    };
    std::for_each(ready_.begin(), ready_.end(), end);
    std::for_each(running_.begin(), running_.end(), end);
    leave(ready_);
    leave(running_);
  }

  template <class Members>
  void leave(Members& members) {
    std::vector<HeldRows> left;
    for (Member& member : members) {
      if (member.answering->done()) end(member, left);
    }
    std::erase_if(members, [](const Member& member) { return member.answering->done(); });
    if (left.empty()) return;
    rest_beside(worst_case(model_, load(nullptr, joining_rows())));
    for (HeldRows& held : left) prefixes_.insert(std::move(held));
  }

  /// Of a member that is done. What its sequence holds goes to `left`, if later prompts may begin with it.
  Answer take_answer(Member& member, std::vector<HeldRows>& left) {
    Answer answer = member.answering->take();
    if (prefixes_.on() && member.origin && member.answering->prefilled()) left.push_back(held_rows(member, answer));
    return answer;
  }

  /// The outcome comes with the last of the answers to a prompt.
  void end(Member& member, std::vector<HeldRows>& left) {
    Branches& all = *member.branches;
    Answer& answer = all.answers[member.branch];
    if (const std::exception_ptr failure = member.answering->failure()) {
      if (!all.failure) all.failure = failure;
      answer.stop = StopReason::cancelled;
    } else {
      answer = take_answer(member, left);
    }
    all.ended = all.ended || answer.stop == StopReason::cancelled;
    if (--all.open > 0) {
      if (!all.ended) ended_.push_back({.ticket = member.ticket, .number = member.branch, .answer = answer});
      return;
    }
    if (all.failure) return outcomes_.push_back(failed(member.ticket, all.failure));
    Outcome outcome{.ticket = member.ticket, .answer = std::move(all.answers.front())};
    outcome.more.assign(std::make_move_iterator(all.answers.begin() + 1), std::make_move_iterator(all.answers.end()));
    if (all.ended) outcome.answer.stop = StopReason::cancelled;
    outcomes_.push_back(std::move(outcome));
  }

  const models::Model& model_;
  const BatchLimits limits_;
  const int64_t bytes_;
  Tickets tickets_;
  PictureCache pictures_;
  PrefixCache prefixes_;
  WaitingRequests waiting_;
  std::deque<Member> ready_;  // their prompts are ready; they wait for room
  std::vector<Member> running_;
  std::vector<Outcome> outcomes_;   // of the current step, or of one that threw
  std::vector<EndedAnswer> ended_;  // of the last step
  BatchState state_;
};

int64_t tokens_of_block() {
  return ops::kBlockRows;
}

BatchRun::BatchRun(const Session& session, const BatchLimits& limits)
    : impl_(std::make_unique<Impl>(session.model(), limits)) {}
BatchRun::BatchRun(BatchRun&&) noexcept = default;
BatchRun::~BatchRun() = default;

void BatchRun::submit(int64_t ticket, Request request, AnswerOptions options) {
  submit_several(ticket, std::move(request), std::vector<AnswerOptions>{std::move(options)});
}
void BatchRun::submit_several(int64_t ticket, Request request, std::vector<AnswerOptions> answers, Turn turn,
                              std::shared_ptr<const ReadPrompt> prompt) {
  impl_->submit(ticket, std::move(request), std::move(answers), std::move(turn), std::move(prompt));
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
const std::vector<EndedAnswer>& BatchRun::ended() const {
  return impl_->ended();
}
BatchState BatchRun::state() const {
  return impl_->state();
}

}  // namespace lithe::session

#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "session/answering.h"
#include "session/batch.h"
#include "session/prefix_cache.h"
#include "session/row_origin.h"

namespace lithe::session {

/// The answers to one prompt: one, and the further ones after it has run.
struct Branches {
  int64_t prompt_bytes = 0;  // of keys and values that the answers share, or that the one answer has: the worst case
  size_t open = 1;           // answers that are not done
  std::vector<Answer> answers{1};
  std::exception_ptr failure;  // of the first that failed
  bool ended = false;          // one failed or was cancelled, so all end
};

/// One answer of a batch, with its prompt.
struct Member {
  int64_t ticket = 0;
  std::unique_ptr<Answering> answering;
  std::optional<RowOrigin> origin;
  int64_t cache_bytes = 0;          // worst case, without Branches::prompt_bytes
  int64_t rows = 0;                 // of the prompt
  int64_t held_rows = 0;            // of these, from another sequence
  std::vector<AnswerOptions> more;  // of further answers, until the prompt has run
  std::shared_ptr<Branches> branches = std::make_shared<Branches>();
  size_t branch = 0;

  int64_t answers() const { return 1 + static_cast<int64_t>(more.size()); }
  /// The rows of the prompt and the answer.
  int64_t longest() const { return rows + answering->token_budget(); }
  /// Of a given answer: those that enter one pass beyond the first.
  int64_t more_rows() const { return answering->rows_after_prompt() - 1; }
};

Outcome cancelled(int64_t ticket);

/// What was thrown in place of an answer.
Outcome failed(int64_t ticket, const std::exception_ptr& thrown);

/// Makes the further answers to a prompt that has just run, and adds them to `made`.
void add_branches(Member& first, std::vector<Member>& made);

/// What the sequence of a member holds that has ended, its answer included.
HeldRows held_rows(Member& member, const Answer& answer);

}  // namespace lithe::session

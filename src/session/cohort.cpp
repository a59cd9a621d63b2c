#include "session/cohort.h"

#include <algorithm>
#include <iterator>

#include "session/answering.h"
#include "session/prompt_rows.h"

namespace lithe::session {

Cohort Cohort::with(const models::Model& model, const WaitingRequest& next) const {
  Cohort more = *this;
  ++more.count;
  if (next.refused) return more;
  more.pictures.add(model, next.request);
  const ReadPrompt& prompt = *next.prompt;
  const auto marks = static_cast<int64_t>(next.pictures()), texts = std::ssize(prompt.ids) - marks;
  const int64_t least = texts + marks * session::least_rows(model);
  const int64_t most = std::min(longest_sequence(model), texts + more.pictures.rows - pictures.rows);
  const int64_t given = std::ssize(prompt.given);
  const int64_t wanted = given > 0 ? given : wanted_tokens(model, least, next.options);
  const int64_t made = std::clamp<int64_t>(wanted, 0, room_after(model, least));
  const auto answers = static_cast<int64_t>(1 + next.more.size());
  const int64_t copies = copies_of_prompt(answers, model.decoder.one_block_per_sequence());
  const Load alone{.caches = copies * dense_cache_bytes(model, most, made),
                   .joining_rows = most + given,
                   .sequences = answers,
                   .longest = most + made};
  more.least_rows += least;
  more.most_rows += most;
  more.alone_bytes = std::max(alone_bytes, worst_case(model, alone));
  return more;
}

}  // namespace lithe::session

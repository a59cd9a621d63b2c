#include "session/row_origin.h"

#include <algorithm>

#include "text/message.h"

namespace lithe::session {
namespace {

using plan::RowKind;

/// `dynamic` turns all keys of a prompt by an angle that depends on its length, once that is past the pre-training.
bool turned_by_length(const models::Model& model, const plan::Turns& turns) {
  const ops::RopeConfig& rope = model.decoder.config.rope;
  const auto longest = static_cast<int64_t>(std::max(turns.held.size(), turns.prompt.size()));
  return rope.scaling == ops::RopeConfig::Scaling::dynamic && longest > rope.original_positions;
}

bool may_share(const RowOrigin& a, const RowOrigin& b) {
  return a.salt == b.salt && a.lora == b.lora && (a.plan == b.plan || *a.plan == *b.plan);
}

/// Leading rows of equal tokens and pictures, without a row before the first token.
int64_t equal_rows(const RowOrigin& a, const RowOrigin& b) {
  const auto end = std::mismatch(a.ids.begin(), a.ids.end(), b.ids.begin(), b.ids.end()).first;
  int64_t rows = 0;
  size_t picture = 0;
  for (auto id = a.ids.begin(); id != end; ++id) {
    if (*id != text::kImageId) {
      ++rows;
    } else if (a.pictures[picture] == b.pictures[picture]) {
      rows += a.pictures[picture++].rows;
    } else {
      break;
    }
  }
  return rows;
}

}  // namespace

void RowOrigin::add(int64_t id) {
  ids.push_back(id);
  kinds.push_back(RowKind::text);
}

RowOrigin RowOrigin::first(int64_t rows) const {
  RowOrigin some{.plan = plan, .salt = salt, .lora = lora};
  const auto before = std::find_if(kinds.begin(), kinds.end(), [](RowKind kind) { return kind != RowKind::modality; });
  int64_t end = before - kinds.begin();
  for (size_t i = 0, picture = 0; i < ids.size(); ++i) {
    const bool sees = ids[i] == text::kImageId;
    const int64_t more = sees ? pictures[picture].rows : 1;
    if (end + more > rows) break;
    end += more;
    some.ids.push_back(ids[i]);
    if (sees) some.pictures.push_back(pictures[picture++]);
  }
  some.kinds.assign(kinds.begin(), kinds.begin() + end);
  some.prompt_rows = std::min(prompt_rows, end);
  return some;
}

int64_t rows_that_stay(const models::Model& model, const plan::Plan& plan, plan::Turns turns) {
  if (turned_by_length(model, turns)) return 0;
  if (model.decoder.cache != ops::KeyValueKind::float32 && plan::leaves_keys_uncached(plan)) return 0;  // rounded
  turns.equal += model.decoder.rows_before();  // not cached, and not seen by what is cached
  // Rows that were decoded at repeated places would stand elsewhere in a prompt.
  if (model.decoder.config.repeats_place) turns.equal = std::min(turns.equal, turns.held_prompt);
  turns.adapters_read_prompt = routing::read_whole_prompt(model.decoder.blocks, plan, "decoder");
  return plan::reusable_rows(plan, model.facts, turns);
}

int64_t rows_to_share(const models::Model& model, const RowOrigin& held, const RowOrigin& prompt, int64_t least) {
  if (held.rows() <= least || !may_share(held, prompt)) return 0;
  const plan::Turns turns{
      .held = held.kinds, .held_prompt = held.prompt_rows, .prompt = prompt.kinds, .equal = equal_rows(held, prompt)};
  if (turns.equal == 0 || turns.equal + model.decoder.rows_before() <= least) return 0;
  return rows_that_stay(model, *held.plan, turns);
}

int64_t rows_to_share_with_more(const models::Model& model, const RowOrigin& held, const RowOrigin& start) {
  if (!may_share(held, start)) return 0;
  const int64_t equal = equal_rows(held, start);
  if (equal + model.decoder.rows_before() < start.rows()) return 0;
  std::vector<RowKind> kinds = start.kinds;
  kinds.push_back(RowKind::text);
  return rows_that_stay(model, *held.plan,
                        {.held = held.kinds, .held_prompt = held.prompt_rows, .prompt = kinds, .equal = equal});
}

}  // namespace lithe::session

#include "session/chunks.h"

#include "plan/reuse.h"

namespace lithe::session {
namespace {

/// How many of the first `row` rows can run before the others. The prompt may be cut before `row` if that is all.
int64_t rows_before_a_cut(const models::Model& model, const plan::Plan& plan, std::span<const routing::RowKind> kinds,
                          int64_t row) {
  const ops::RopeConfig& rope = model.decoder.config.rope;
  const auto rows = static_cast<int64_t>(kinds.size());
  // `dynamic` turns all keys by an angle that depends on the length of the prompt, once that is past the pre-training.
  if (rope.scaling == ops::RopeConfig::Scaling::dynamic && rows > rope.original_positions) return 0;
  // A cut is allowed if a conversation could stand before it and lose nothing.
  const plan::Turns turns{.held = kinds.first(static_cast<size_t>(row)),
                          .held_prompt = row,
                          .prompt = kinds,
                          .equal = row,
                          .adapters_read_prompt = routing::read_whole_prompt(model.decoder.blocks, plan, "decoder")};
  return plan::reusable_rows(plan, model.facts, turns);
}

}  // namespace

bool may_cut(const models::Model& model, const plan::Plan& plan, std::span<const routing::RowKind> kinds, int64_t row) {
  return rows_before_a_cut(model, plan, kinds, row) == row;
}

int64_t next_cut(const models::Model& model, const plan::Plan& plan, std::span<const routing::RowKind> kinds,
                 int64_t held, int64_t most) {
  const auto rows = static_cast<int64_t>(kinds.size());
  if (rows - held <= most) return rows;
  for (int64_t row = held + most, fewer = 0; row > held; row = fewer) {
    fewer = rows_before_a_cut(model, plan, kinds, row);
    if (fewer == row) return row;
  }
  // What ties rows together are the groups of rules, so the next cut is where rows of another kind begin.
  for (int64_t row = held + most + 1; row < rows; ++row) {
    const auto i = static_cast<size_t>(row);
    if (kinds[i] != kinds[i - 1] && may_cut(model, plan, kinds, row)) return row;
  }
  return rows;
}

}  // namespace lithe::session

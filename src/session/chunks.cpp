#include "session/chunks.h"

#include <algorithm>

#include "base/error.h"
#include "base/printable.h"
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

Tensor prefill_in_chunks(Generation& generation, const ChunkedPrompt& prompt) {
  const models::Model& model = generation.model();
  const auto rows = static_cast<int64_t>(prompt.kinds.size());
  require(generation.next_position() == 0, Fault::bad_request,
          "a prompt can be cut into chunks only if nothing is held before it, and ", generation.next_position(),
          " rows are.");
  int64_t last = 0;
  for (const int64_t cut : prompt.cuts) {
    require(last < cut && cut < rows, Fault::bad_request, "the prompt is cut before row ", cut,
            "; cuts ascend from 1 to ", rows - 1, ".");
    require(may_cut(model, generation.plan(), prompt.kinds, cut), Fault::bad_request,
            "the prompt cannot be cut before row ", cut, ": the plan ", in_quotes(generation.plan().name),
            " or an adapter looks at rows on both sides together; cut elsewhere, or not at all.");
    last = cut;
  }
  Tensor hidden;
  for (size_t i = 0; i <= prompt.cuts.size(); ++i) {
    const int64_t begin = i == 0 ? 0 : prompt.cuts[i - 1], end = i < prompt.cuts.size() ? prompt.cuts[i] : rows;
    const auto first = static_cast<size_t>(begin), count = static_cast<size_t>(end - begin);
    hidden = generation.prefill(prompt.rows.narrow(0, begin, end - begin), prompt.kinds.subspan(first, count), {},
                                ops::some_places(prompt.places, begin, end));
  }
  return hidden;
}

}  // namespace lithe::session

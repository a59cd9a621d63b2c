#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "models/model.h"
#include "plan/plan.h"
#include "routing/batch.h"
#include "session/generation.h"

namespace lithe::session {

/// Whether a prompt whose rows are of these `kinds` may be cut before row `row`, so that its two parts, run one after
/// the other, equal a pass over all of it. No selector or adapter may lose sight of a part of what it looks at: with
/// p-MoD the vision rows stay together, with a PIA the whole prompt does. Dense plans allow every cut.
bool may_cut(const models::Model& model, const plan::Plan& plan, std::span<const routing::RowKind> kinds, int64_t row);

/// Where the next chunk of a prompt ends of which `held` rows have run: at the last row after which it may be cut and
/// that leaves the chunk at most `most` rows; if it may not be cut there, at the first after it; else at its end.
int64_t next_cut(const models::Model& model, const plan::Plan& plan, std::span<const routing::RowKind> kinds,
                 int64_t held, int64_t most);

/// A prompt and how it is cut into chunks.
struct ChunkedPrompt {
  Tensor rows;                              ///< [rows, hidden]
  std::span<const routing::RowKind> kinds;  ///< [rows]
  std::span<const int64_t> cuts;            ///< The first row of each chunk but the first, ascending.
  routing::Places places;                   ///< [axes][rows] rotary places; empty: their order
};

/// Prefill of a generation that holds nothing yet, chunk after chunk, so that a pass needs memory for its own rows
/// only. Throws Error{bad_request} if the plan does not allow a cut.  -> [rows of the last chunk that are alive,
/// hidden]
Tensor prefill_in_chunks(Generation& generation, const ChunkedPrompt& prompt);

}  // namespace lithe::session

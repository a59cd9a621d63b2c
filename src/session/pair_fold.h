#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "session/pair_session.h"

namespace lithe::session {

/// What was folded of METER, and how far the folded model is from the unfolded one on a question.
struct PairFoldReport {
  int64_t adapters = 0, adapters_left = 0;
  double rounding = 0;           ///< models::FoldCount
  std::string head;              ///< The one that was asked.
  double largest_deviation = 0;  ///< Of a score.
  int64_t bytes_before = 0, bytes_after = 0;
};

/// Folds METER into a new folder (checkpoints/write/meter_folding.h), opens that and asks both models the question by
/// the first head; `out` appears, whole, only after that. Its last picture is repeated if the head takes more. Throws
/// Error.
PairFoldReport fold_pairs(const PairSession& session, PairQuestion question, const std::filesystem::path& out);

}  // namespace lithe::session

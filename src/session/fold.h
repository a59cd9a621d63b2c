#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "session/session.h"

namespace lithe::session {

struct FoldOptions {
  bool freeze = false;      ///< Fold with the gate and mean of the request's prompt, so that no adapter is left.
  int64_t new_tokens = 16;  ///< Compared after the prompt, greedily chosen by the unfolded model.
  std::function<void(const char* step)> on_step;  ///< Called when a step begins, with its name. May be empty.
};

/// What was folded, and how far the folded model is from the unfolded one on the request: every prompt row and every
/// new token.
struct FoldReport {
  int64_t gains = 0, adapters = 0, adapters_left = 0;
  int64_t low_rank = 0, whole = 0;            ///< Products with LoRA, and tensors that came whole with it.
  double rounding = 0;                        ///< models::FoldCount
  double largest_deviation = 0;               ///< Of a logit.
  double largest_logit = 0;                   ///< In magnitude, of the unfolded model.
  int64_t rows = 0;                           ///< Prompt rows compared.
  int64_t tokens = 0;                         ///< New tokens compared.
  int64_t tokens_equal = 0;                   ///< Of these, chosen by the folded model too.
  int64_t bytes_before = 0, bytes_after = 0;  ///< Weights as held.
};

/// Folds a model into a new folder (checkpoints/write/folding.h says what and how), opens that and compares; `out`
/// appears, whole, only after that. Throws Error, also if a logit of either is not finite, as when weights overflow the
/// type that they are held in.
FoldReport fold_model(const Session& session, const Request& request, const FoldOptions& options,
                      const std::filesystem::path& out);

}  // namespace lithe::session

#pragma once

#include <cstdint>
#include <span>

#include "session/session.h"

namespace lithe::session {

/// The logarithm of the sum of the exponentials of logits, finite ones of any size.
double log_sum_exp(std::span<const float> logits);

/// Log probabilities of a token that was chosen and of the `best` most likely ones.  logits: [vocab], finite
TokenRating rating_of(std::span<const float> logits, int64_t chosen, int64_t best);

}  // namespace lithe::session

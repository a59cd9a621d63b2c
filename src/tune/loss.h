#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/parts/decoder.h"
#include "tune/packing.h"

namespace lithe::tune {

/// The decoder over packed samples, to the sum of the cross entropies of all rows with a target.  -> [] float32,
/// differentiable. Logits are formed for those rows only, some at a time. `observer` sees every layer. Throws
/// Error{bad_request} if the plan drops a row with a target for good.
Tensor summed_loss(const models::Decoder& decoder, const TrainingRows& rows, const routing::Observer& observer = {});

}  // namespace lithe::tune

#pragma once

#include "golden/cases.h"

namespace lithe::golden {

/// "train.*" of a LLaVA-EAS case: loss, hidden states, logits, the gradient of every weight that learns.
void check_eas_training(const Case& golden, Check& check);

}  // namespace lithe::golden

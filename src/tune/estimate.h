#pragma once

#include "models/model.h"
#include "tune/adamw.h"
#include "tune/run.h"

namespace lithe::tune {

/// The numbers of a model by part, and how many of them learn; weight and optimiser bytes.
RunEstimate estimate_of(const models::Model& model, const AdamW& optimiser);

}  // namespace lithe::tune

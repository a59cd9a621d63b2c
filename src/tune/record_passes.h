#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "data/data_set.h"
#include "models/model.h"
#include "plan/plan.h"
#include "tune/packing.h"
#include "tune/sample.h"

namespace lithe::tune {

/// Runs the tower over the pictures of records and gives their rows to `take`, some records at a time, about 2,048
/// rows. No gradient is taken. The plan must outlive the rows. Throws Error that names the record.
void each_pass(const models::Model& model, const plan::Plan& plan, const data::DataSet& set,
               std::span<const int64_t> records, const std::function<void(TrainingRows)>& take);

}  // namespace lithe::tune

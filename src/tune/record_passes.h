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

/// What records become rows of. All must outlive the rows.
struct Packer {
  const models::Model& model;
  const plan::Plan& plan;
  SampleOptions options;
};

/// Runs the tower over the pictures of records and gives their rows to `take`, some records at a time, about 2,048
/// rows. No gradient is taken. Throws Error that names the record.
void each_pass(const Packer& packer, const data::DataSet& set, std::span<const int64_t> records,
               const std::function<void(TrainingRows)>& take);

}  // namespace lithe::tune

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/data_set.h"
#include "tune/recipe.h"
#include "tune/record_order.h"

namespace lithe::tune {

/// Opens a data set of a recipe, or the records of its task. `family`: of the model that learns. Throws Error.
std::unique_ptr<data::DataSet> open_set(const DataSet& set, const std::string& family,
                                        const image::DecodeOptions& decode);
std::vector<WeightedSet> open_sets(const std::vector<DataSet>& sets, const std::string& family,
                                   const image::DecodeOptions& decode);

}  // namespace lithe::tune

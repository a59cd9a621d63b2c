#pragma once

#include <memory>
#include <string>

#include "data/data_set.h"
#include "tune/recipe.h"

namespace lithe::tune {

/// Opens a data set of a recipe, or the records of its task. `family`: of the model that learns. Throws Error.
std::unique_ptr<data::DataSet> open_set(const DataSet& set, const std::string& family,
                                        const image::DecodeOptions& decode);

}  // namespace lithe::tune

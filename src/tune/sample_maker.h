#pragma once

#include "models/model.h"
#include "tune/record_stream.h"
#include "tune/sample.h"

namespace lithe::tune {

/// make_sample, then count_rows. The model must outlive the maker.
SampleMaker<Sample> sample_maker(const models::Model& model, const SampleOptions& options);

}  // namespace lithe::tune

#pragma once

#include <string>

#include "models/model.h"
#include "plan/cost.h"

namespace lithe::session {

/// How weights are held, as OpenOptions::weights says it. Throws Error{bad_request}.
models::WeightStorage storage_named(const std::string& name);

/// How keys and values are cached, as OpenOptions::kv says it. Throws Error{bad_request}.
ops::KeyValueKind kv_named(const std::string& name);

/// How the bytes of such a cache are counted.
plan::CostOptions counted_as(ops::KeyValueKind kind);

/// How products are computed, as OpenOptions::compute says it. Throws Error{bad_request}.
ops::Compute compute_named(const std::string& name);

}  // namespace lithe::session

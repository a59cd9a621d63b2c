#pragma once

#include <string>

#include "models/model.h"

namespace lithe::session {

/// How weights are held, as OpenOptions::weights says it. Throws Error{bad_request}.
models::WeightStorage storage_named(const std::string& name);

/// How keys and values are cached, as OpenOptions::kv says it. Throws Error{bad_request}.
ops::KeyValueKind kv_named(const std::string& name);

/// How products are computed, as OpenOptions::compute says it. Throws Error{bad_request}.
ops::Compute compute_named(const std::string& name);

}  // namespace lithe::session

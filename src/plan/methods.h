#pragma once

#include <string>

#include "base/json.h"
#include "plan/facts.h"
#include "plan/plan.h"

namespace lithe::plan {

/// Expands {"method": NAME, ..} for a model of this depth; the keys of every method are in docs/plans.md. The result is
/// ascending, named after the method unless "name" says otherwise, and not validated.
/// Throws Error{bad_file} for an unknown method or key.
Plan expand_method(const Json& shorthand, const std::string& source, const ModelFacts& model);

}  // namespace lithe::plan

#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "plan/facts.h"
#include "plan/plan.h"

/// From JSON to a plan and back. Text that is not a plan (unknown keys, wrong types, too many entries) is
/// Fault::bad_file; a plan that this model, or any model, cannot run is Fault::bad_request (validate.h).
namespace lithe::plan {

/// Reads a plan: the expanded form {"format": "lithe-plan/1", "layers": [..]}, a shorthand {"method": "p-mod", ..},
/// the name of a built-in plan as a string, or several of them as a list or {"combine": [..]}.
/// Several combine layer by layer: rules append in order, an attention that is off in one is off in the sum.
/// The result is expanded, ascending by (stream, layer), and validated against `model`. `source` names the text in
/// errors.
Plan parse_plan(const Json& json, const std::string& source, const ModelFacts& model);

/// The expanded form; parse_plan(to_json(plan)) equals plan.
Json to_json(const Plan& plan);

/// A built-in plan by its name ("p-mod", "eas", ..), a JSON file of at most 4 MiB, or JSON text, which begins with "{"
/// or "[". Throws Error.
Plan load_plan(const std::string& plan, const ModelFacts& model);

/// Names of the plans in plans/, which are compiled into the library, ascending.
std::vector<std::string> builtin_plan_names();

}  // namespace lithe::plan

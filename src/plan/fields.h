#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "plan/plan.h"

/// Reading the parts of a plan's JSON. Everything here throws Error{bad_file}.
namespace lithe::plan {

/// A view of an object that refuses keys other than `keys`, by name.
JsonView object_with(const Json& json, const std::string& source, const std::vector<const char*>& keys);

/// An integer from `low` to `high`.
int64_t whole(const Json& value, const std::string& what, int64_t low, int64_t high);

/// A short string: names of plans, streams, selectors.
std::string short_text(const JsonView& view, const char* key, const std::string& fallback);

/// "gate": "tanh_norm", "none", or {"norm": "softmax", "scale": 2, "bias": 0.5}. Absent key: `fallback`.
std::optional<Gate> read_gate(const JsonView& view, const std::optional<Gate>& fallback);

/// "group": a group's name.
Group read_group(const JsonView& view, Group fallback);

/// "seed": 0 or more, 0 when absent.
uint64_t read_seed(const JsonView& view);

/// "keep_share" and "keep_count" into `rule`, as far as they are there.
void read_keep(const JsonView& view, Rule& rule);

/// Layers from "layers" ([3, 5] or "all") or "from" (that layer to the last); `fallback_from` when both are absent; -1
/// if one of the two is required.
std::vector<int64_t> read_layers(const JsonView& view, int64_t layers, int64_t fallback_from);

}  // namespace lithe::plan

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "plan/facts.h"
#include "plan/plan.h"

namespace lithe::plan {

/// How the kept share falls over the layers. With s = l / divisor, the shifted ones are v(l) = shape(s) + factor:
/// cos(pi s) / 2 or 1/2 - s; layer l is touched when v <= untouched_above and then keeps max(v, floor).
/// The others keep `factor` in layers 1, 3, 5, .. (interleave), 2 .. L-2 (deep_all), 2 .. L-1 (deep_all_include_last).
enum class Decay { shifted_cos, shifted_linear, interleave, deep_all, deep_all_include_last };

struct Schedule {
  Decay decay = Decay::shifted_cos;
  double factor = 0.5;
  double untouched_above = 0.85;
  double floor = 0.15;
  int64_t divisor = 31;  ///< 31 for public configs whatever their depth, L - 1 for shorthands; at least 1.
};

/// Whether a schedule's name is of a shifted one, which takes a shift; the others take a share.
bool is_shifted(const std::string& name);
/// Whether it is a shifted one whose name leaves `untouched_above` and `floor` to others.
bool leaves_bounds_open(const std::string& name);

/// Reads a published name: `shiftedcos_decay_MAX_MIN`, `shiftedlinear_decay_MAX_MIN` (both numbers with a decimal
/// point), `interleave`, `deep_all`, `deep_all_include_last`. Throws Error{bad_file} for others; `source` names the
/// text in errors.
Schedule parse_schedule(const std::string& name, double factor, int64_t divisor, const std::string& source);

/// The kept share of every layer; absent: the layer is left alone. May lie outside [0, 1] for unusual factors, which
/// validate() refuses.
std::vector<std::optional<double>> shares(const Schedule& schedule, int64_t layers);

/// `rule` in every layer that the schedule touches, with the layer's share.
Plan plan_of_schedule(const Schedule& schedule, int64_t layers, Rule rule);

/// Reads a published weight norm: `tanh_0.2_1`, `softmax_2.0_0.5`, `sigmoid`, `none_0.5_1`; w = scale f(z) + bias, both
/// 1 when the numbers are left out. Throws Error{bad_file}.
Gate parse_weight_norm(const std::string& name, const std::string& source);

/// Whether a config.json is of a public p-MoD checkpoint (it has `mod_target_layers`).
bool is_public_pmod(const JsonView& config);

/// The plan in the `mod_*` keys of a public p-MoD config.json: num_hidden_layers, mod_target_layers, mod_router_factor,
/// mod_weight_norm, mod_target_token_type (vision_all, vision_hr, all). The divisor is 31. `mod_target_layer_indices`
/// must agree if it is present. Throws Error{bad_file}; validate() the result against the model.
Plan from_public_pmod_config(const JsonView& config);

}  // namespace lithe::plan

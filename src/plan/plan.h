#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace lithe::plan {

/// The rows a rule speaks of. `vision` holds every vision row, `vision_high_res` those of LLaVA-NeXT's tiles (newline
/// rows included).
enum class Group { vision, vision_high_res, text, padding, all };

/// How the raw router logits z become the weight w of a row. `none` as a gate means: no gate at all.
enum class WeightNorm { tanh, softmax, sigmoid, identity };

/// w = scale * norm(z) + bias. p-MoD's TanhNorm (arXiv 2412.04449) is {tanh, 0.2, 1}.
struct Gate {
  WeightNorm norm = WeightNorm::tanh;
  double scale = 0.2;
  double bias = 1.0;
  bool operator==(const Gate&) const = default;
};

/// What a layer computes for a row.
struct Switches {
  bool query = true;
  bool key_value = true;
  bool cache = true;
  bool feed_forward = true;
  bool any() const { return query || key_value || cache || feed_forward; }
  bool operator==(const Switches&) const = default;
};

/// Chooses rows of one group. Chosen rows run everything, the others run `others` only. A rule governs the rows of its
/// group that are alive when the layer starts and that no earlier rule of the layer governs (plan/rows.h). Its share is
/// of those rows.
struct Rule {
  Group group = Group::vision;
  std::optional<double> keep_share;  ///< Exactly one of keep_share and keep_count is set.
  std::optional<int64_t> keep_count;
  std::string by = "router";  ///< A selector's name (routing/selectors/).
  uint64_t seed = 0;          ///< Of the selector `random`.
  std::optional<Gate> gate;   ///< Absent: rows are not reweighted.
  Switches others{false, false, false, false};
  bool others_return = true;  ///< false: rows that were not chosen are dropped for all later layers.
  bool operator==(const Rule&) const = default;
};

/// One row of the table: a stream, a layer, which attentions run, and the rules in order.
struct LayerPlan {
  std::string stream = "decoder";
  int64_t layer = 0;
  bool self_attention = true;
  bool cross_attention = true;
  std::vector<Rule> rules;
  bool operator==(const LayerPlan&) const = default;
};

/// The whole plan, expanded: layers that are not listed are dense. At most one entry per (stream, layer), ascending.
struct Plan {
  std::string name = "dense";
  std::vector<LayerPlan> layers;
  /// The entry of a layer, or null when the layer is dense.
  const LayerPlan* find(const std::string& stream, int64_t layer) const;
  bool operator==(const Plan&) const = default;
};

/// The names as plans spell them: "vision_high_res", "softmax".
const char* to_string(Group group);
const char* to_string(WeightNorm norm);

}  // namespace lithe::plan

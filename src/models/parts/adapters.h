#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "models/parts/weight_slot.h"
#include "nn/adapters/low_rank.h"

namespace lithe::models {

/// What the gate of an adapter reads: the mean of these rows of the prompt, or each row for itself.
enum class GateRows {
  all,          ///< LLaVA-EAS.
  first,        ///< LaVIN: the modality row.
  after_first,  ///< LaVIN-EAS: all but the modality row; in a tower all but the class token.
  each,         ///< LaVIN's tower.
};

/// The shape of an adapter of EAS (RepAdapter, PIA).
struct AdapterShape {
  int64_t rank = 0;
  int64_t groups = 2;        ///< Blocks of B and D.
  bool router_bias = false;  ///< Of the gate.
  double scale = 1.0, temperature = 10.0;
  GateRows gate_rows = GateRows::all;
  bool freezes_mean = true;  ///< As nn::Pia's.
};

/// What EAS made of a layer. If it holds both an attention and a PIA, the plan of each request picks.
struct EasLayer {
  bool attention = true;                ///< False: the layer has no attention, and its feed-forward site reads norm1.
  std::optional<AdapterShape> adapter;  ///< A RepAdapter before q, k, v.
  std::optional<AdapterShape> pia;      ///< In the attention's place.
  /// The second norm's affine part is beside the PIA, not folded into the FFN. If the layer has its attention too, the
  /// part is always there, and both use it.
  bool gain = false;

  bool holds_both() const { return attention && pia; }
  /// A plan has to turn the attention on to get it.
  bool off_by_default() const { return !attention || pia; }
};

/// By layer; layers that are not listed are plain.
using EasLayers = std::map<int64_t, EasLayer>;

/// Plain if the layer is not listed.
EasLayer eas_of(const EasLayers& eas, int64_t layer);

// Adapters whose tensors are still to be filled.
nn::RepAdapter shaped_adapter(const AdapterShape& shape);
nn::Pia shaped_pia(const AdapterShape& shape);

/// Every weight of an adapter in `layer`, the name of a layer. What stands for the second norm is not among them.
void visit_adapter(const WeightName& layer, nn::RepAdapter& adapter, int64_t rank, int64_t hidden,
                   const WeightVisitor& visitor);
void visit_pia(const WeightName& layer, nn::Pia& pia, int64_t rank, int64_t hidden, const WeightVisitor& visitor);

}  // namespace lithe::models

#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/json.h"
#include "checkpoints/read/layouts.h"
#include "checkpoints/read/weights.h"
#include "io/checkpoint.h"
#include "models/model.h"
#include "plan/plan.h"

namespace lithe::models {

/// config.json's key for the attentions without weights: [{"stream": "decoder", "layer": 2, "attention": "self"}, ..];
/// the stream may be `vision_tower`.
constexpr const char* kFixedSites = "fixed_sites";

/// A part's blocks, and where its weights are.
struct EasPart {
  Part part;  ///< Decoder or tower.
  int64_t layers = 0;
  std::function<const io::TensorView*(const WeightName&)> find;  ///< Null if there is none.
  bool all_gates_have_bias = false;  ///< As LaVIN's. LLaVA-EAS publishes gates of RepAdapters without one.

  std::string stream() const { return part == Part::decoder ? "decoder" : "vision_tower"; }
};
EasPart decoder_part(const WeightLoader& loader, const io::Checkpoint& checkpoint, const Layout& layout,
                     int64_t layers);

/// What EAS made of the layers, as LLaVA-EAS checkpoints show it: "replaced_adapter" is a PIA in place of the
/// attention, "adapter_attn" an adapter before one. A decoder layer that has both a PIA and the weights of its
/// attention holds both. Ranks and groups are those of the tensors; the config may have "eas": {"scale": 1,
/// "temperature": 10}. The gate of a PIA always has a bias. Layers named by "fixed_sites" have no attention, with or
/// without a PIA. Throws Error{bad_file}.
EasLayers read_eas(const JsonView& config, const EasPart& part);

/// The plan of a folder without plan.json: `plan`, or dense if there is none, without the attentions that the parts
/// lack and those that a PIA can stand in for. Absent if there is no plan and no such attention.
std::optional<plan::Plan> without_attention(std::optional<plan::Plan> plan, const EasLayers& decoder,
                                            const EasLayers& tower);

}  // namespace lithe::models

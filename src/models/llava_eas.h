#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/json.h"
#include "io/checkpoint.h"
#include "models/parts/decoder.h"
#include "plan/plan.h"

namespace lithe::models {

/// config.json's key for the attentions without weights: [{"stream": "decoder", "layer": 2, "attention": "self"}, ..].
constexpr const char* kFixedSites = "fixed_sites";

/// Names of a layer's weights in the checkpoint: layer -> "model.layers.2.".
using LayerPrefix = std::function<std::string(int64_t layer)>;

/// What EAS made of the layers, as LLaVA-EAS checkpoints show it: "replaced_adapter" where a PIA stands for the
/// attention, "adapter_attn" before one. Ranks and groups are those of the tensors; "eas": {"scale": 1, "temperature":
/// 10} may stand in the config. Layers named by "fixed_sites" have no attention, with or without a PIA.
/// Throws Error{bad_file}.
std::map<int64_t, EasLayer> read_eas(const JsonView& config, const io::Checkpoint& checkpoint, int64_t layers,
                                     const LayerPrefix& prefix);

/// Whether a layer has no attention.
bool takes_attention_out(const std::map<int64_t, EasLayer>& eas);

/// The plan that these layers demand: `plan`, or dense where there is none, with their attentions off.
plan::Plan without_attention(std::optional<plan::Plan> plan, const std::map<int64_t, EasLayer>& eas);

}  // namespace lithe::models

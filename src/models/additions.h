#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "models/model.h"
#include "routing/block.h"

// What training adds to a model that was opened without it. The new weights are float32 leaves that ask for gradients.
// They have the names under which checkpoints hold them, so a folder with them opens as the same model. Its config.json
// needs "eas" if scale or temperature are not the published ones.
namespace lithe::models {

/// Layers of the decoder; absent: every layer.
using LayerChoice = std::optional<std::vector<int64_t>>;

/// Adapters of EAS; the defaults are those of LLaVA-EAS.
struct NewAdapters {
  LayerChoice reps;    ///< Which layers get a RepAdapter before their attention.
  LayerChoice pias;    ///< Which layers get a PIA that can stand in for their attention.
  bool tower = false;  ///< RepAdapters in every block of the vision tower too.
  int64_t rep_rank = 128, pia_rank = 128;
  int64_t groups = 2;  ///< Blocks of the up-projections.
  double scale = 1.0, temperature = 10.0;
  double dropout = 0;  ///< Of every adapter of the model, in training.
  uint64_t seed = 0;
};

/// Adds adapters. A layer with a PIA keeps its attention, so the plan of a request picks. They start as LLaVA-EAS
/// publishes: biases are 0, and so is a RepAdapter's way up, hence it changes nothing yet; other products are uniform
/// as Xavier's rule says; the gates' are within 1 / sqrt(width). In LaVIN a PIA's way up is 0 too, and gates read what
/// its own do. The plan of the model stays. Throws Error{bad_request}
/// for layers that do not exist, have no attention or have such an adapter, and for sizes that do not fit; the model is
/// then as it was.
void add_adapters(Model& model, const NewAdapters& wanted);

/// Gives the dropout of every adapter of these blocks its share, and a place of its own by `seed`, which goes on.
void set_dropout(std::vector<routing::Block>& blocks, double share, uint64_t& seed);

/// Gives layers of the decoder a router of p-MoD with weight and bias 0. The plan of the model stays. Throws
/// Error{bad_request} for layers that do not exist or have a router; the model is then as it was.
void add_routers(Model& model, const LayerChoice& layers);

}  // namespace lithe::models

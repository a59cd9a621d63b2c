#pragma once

#include <cstdint>
#include <filesystem>

#include "models/model.h"
#include "plan/plan.h"

namespace lithe::models {

struct TunedOptions {
  /// The plan is fixed for good: of a layer that holds an attention and a PIA, only what the plan runs is written, as
  /// LLaVA-EAS publishes. Leave it off if a search is still to choose.
  bool plan_is_final = false;
  int64_t last_epoch = 0;  ///< Counted from 0: LaVIN's adapter is called checkpoint-N after it.
};

/// What a tuned folder holds anew.
struct TunedCount {
  int64_t changed = 0;  ///< Weights that learned.
  int64_t added = 0;    ///< Weights that the base model had not.
  double rounding = 0;  ///< By which rounding to 16 bits moved a weight at most, relative to the largest of its tensor.
};

/// Writes a model that was tuned as an ordinary folder of its own layout, which opens as the same model with `plan`.
/// Each weight that learned is rounded once to the type that its file has. New routers and adapters are written in
/// float32 under the names of docs/checkpoints.md; in LLaVA's own layout, layers with a router get the names of p-MoD,
/// and config.json the `mod_*` keys if they can say the plan. Otherwise there is a plan.json. Everything else is copied
/// bit for bit. Of LaVIN in parts the adapter is written (lavin_adapter.h). `folder` is new or empty; to make it appear
/// whole or not at all, give the part of an io::NewFolder. Throws Error{bad_request} for models with LoRA or without a
/// folder, for plans that do not fit the model, and for weights that their type cannot hold; Error{bad_file}, also for
/// weights that are not finite.
TunedCount write_tuned(const Model& model, const plan::Plan& plan, const std::filesystem::path& folder,
                       const TunedOptions& options = {});

}  // namespace lithe::models

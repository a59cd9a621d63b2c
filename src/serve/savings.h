#pragma once

#include <cstdint>
#include <optional>

#include "serve/kept_patches.h"

namespace lithe::serve {

/// What the "lithe" of a reply needs to know besides the answer.
struct Savings {
  int64_t kv_token_bytes = 0;           ///< Keys and values of one prompt token in all layers, without a plan.
  int64_t uncached_rows = 0;            ///< Of a prompt, without a plan: LaVIN's modality row.
  std::optional<PatchesShown> patches;  ///< To be shown.
};

/// What skipping saved: {"kv_bytes", "dense_kv_bytes", "counted_share", "kept_patches"}.
Json savings_json(const Savings& savings, const session::Answer& answer);

}  // namespace lithe::serve

#pragma once

#include <cstdint>
#include <vector>

#include "base/json.h"
#include "image/view_parts.h"
#include "session/session.h"

namespace lithe::serve {

/// What "show": ["kept_patches"] needs to know of a request besides its answer.
struct PatchesShown {
  struct Picture {
    image::Size size;
    std::vector<image::Part> parts;  ///< As session::picture_parts.
  };
  int64_t layers = 0;                      ///< Of the decoder.
  std::vector<int64_t> without_attention;  ///< Layers whose attention the plan turns off.
  std::vector<Picture> pictures;
};

/// Called before the request is handed over. Throws Error.
PatchesShown patches_shown(const session::Session& session, const session::Request& request);

/// {"layers", "without_attention", "pictures"}: docs/serve.md describes it. Its maps take at most 1 MiB; layers after
/// that have counts only.
Json kept_patches_json(const PatchesShown& shown, const session::Answer& answer);

}  // namespace lithe::serve

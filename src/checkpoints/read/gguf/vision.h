#pragma once

#include "io/gguf.h"
#include "models/model.h"

namespace lithe::models {

/// Whether the mmproj's rows are as wide as the decoder's.
bool fits_decoder(const io::GgufFile& mmproj, int64_t hidden);

/// The shapes of tower and projector, and how pictures become tiles and rows, from the metadata of an mmproj. What it
/// leaves out is as in LLaVA-1.5. Throws Error{bad_file} for projectors that are not LLaVA's.
void read_vision(const io::GgufFile& mmproj, Model& model);

/// Whether the two layers of a feed-forward network of the tower have each other's names, as in the files of
/// llama.cpp's first converter.
bool swaps_feed_forward(const io::GgufFile& mmproj, const VisionTowerConfig& tower);

}  // namespace lithe::models

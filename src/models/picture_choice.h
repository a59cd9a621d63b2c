#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "models/packing.h"
#include "plan/plan.h"

/// How rows of a picture are chosen by what the vision tower saw: the step between tower and decoder. The decoder drops
/// rows; here they get scores, and rows that are kept may take in others before the projector.
namespace lithe::models {

/// What the last block of the tower left of the tiles of one picture.
struct TilesSeen {
  Tensor attention;  ///< [tiles, tokens] of the class token, mean over heads
  Tensor keys;       ///< [tiles, tokens, heads, head_dim]
  Tensor features;   ///< [tiles, tokens, width] out of the tower
};

/// Whether a rule of the plan reads what the tower saw, and whether it reads the attention of the class token.
bool reads_pictures(const plan::Plan* plan);
bool reads_class_token(const plan::Plan* plan);

/// Features as rows: [rows, tower width] -> [rows, hidden]
using Project = std::function<Tensor(const Tensor& features)>;

/// Packs anything of the tiles as their rows were packed: [tiles, tokens, n] -> [rows, n], `newline` at newline rows.
using PackAlike = std::function<Tensor(const Tensor& of_tiles, double newline)>;

/// Scores the rows of a picture for the rules of a plan. A rule keeps the highest: rows that it keeps as they are,
/// then merged ones, then the others by the attention of the class token, then newline rows. Merged rows are replaced.
void choose_in_picture(const plan::Plan& plan, const TilesSeen& seen, const Project& project, const PackAlike& packed,
                       PackedRows& rows);

}  // namespace lithe::models

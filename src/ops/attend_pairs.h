#pragma once

#include "ops/attend_kernels.h"

// Attention over bfloat16 blocks by AVX512-BF16, which multiplies pairs of bfloat16 and adds in float32: twice as many
// products per instruction as in float32.
//
// Queries are the sum of two bfloat16 numbers each, so scores are as good as in float32: an error in a score of 50
// would be fifty times as large in its weight. The weights of the softmax are rounded to bfloat16, as the values are:
// that changes each weight by 2^-9 of it at most.
namespace lithe::ops {

/// If attend_to_block goes this way for bfloat16 blocks: if the processor can, and there are enough query rows to make
/// up for pairing the block.
bool attends_in_pairs(int64_t rows);

/// How many pairs of bfloat16 a row of this width is; if the width is odd, the last is filled up with 0.
constexpr int64_t pairs_of(int64_t width) {
  return (width + 1) / 2;
}

/// Writes the tile's queries to tile.query_pairs: for each pair what it is in bfloat16, then what is left of it, in
/// bfloat16 too.
void split_queries(const AttendTile& tile);

/// attend_to_block for a bfloat16 block, after split_queries. tile.sum is that of the rounded weights.
void attend_to_pairs(const AttendTile& tile, const HeadBlock& block);

}  // namespace lithe::ops

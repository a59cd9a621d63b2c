#pragma once

#include <cstdint>
#include <vector>

#include "routing/batch.h"

namespace lithe::routing {

/// The text rows of a sequence's prompt after this row: what asks about the pictures before it. Rows of the batch.
std::vector<int64_t> text_after(const Batch& batch, size_t sequence, int64_t row);

/// SparseVLM's raters: the text rows after the first vision row that match the picture better than the mean of them.
/// Text row t matches by mean over vision rows v of softmax over t (x_v . x_t).
/// x: [rows, hidden], the input of the first layer -> the order of these rows, ascending
std::vector<int64_t> text_raters(const Tensor& x, const Batch& batch, size_t sequence);

}  // namespace lithe::routing

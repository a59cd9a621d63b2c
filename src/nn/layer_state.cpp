#include "nn/layer_state.h"

#include <ATen/ops/empty_like.h>

#include <algorithm>

#include "base/error.h"

namespace lithe::nn {

using ops::blocks_for;
using ops::kBlockRows;

int64_t LayerState::bytes() const {
  return blocks_.empty() ? 0 : length() * static_cast<int64_t>(blocks_.front().nbytes()) / kBlockRows;
}

void LayerState::reserve(int64_t rows) {
  reserved_rows_ = rows;
  while (!blocks_.empty() && static_cast<int64_t>(blocks_.size()) < blocks_for(rows))
    blocks_.push_back(at::empty_like(blocks_.front()));
}

/// Room for `rows` rows, and for those that are reserved.
void LayerState::allocate(int64_t rows, const Tensor& like) {
  const int64_t wanted = blocks_for(blocks_.empty() ? std::max(rows, reserved_rows_) : rows);
  while (static_cast<int64_t>(blocks_.size()) < wanted) blocks_.push_back(ops::empty_block(like, kind_));
}

/// A block that no other state shares. A shared block is copied only if it holds rows.
const Tensor& LayerState::writable_block(size_t block, const Tensor& like) {
  Tensor& own = blocks_[block];
  if (own.use_count() > 1) {
    const bool holds_rows = static_cast<int64_t>(block) < blocks_for(length());
    own = holds_rows ? own.clone() : ops::empty_block(like, kind_);
  }
  return own;
}

void LayerState::append(const Tensor& keys, const Tensor& values, std::span<const int64_t> positions) {
  const int64_t held = length(), rows = keys.size(0);
  require(rows == static_cast<int64_t>(positions.size()), Fault::internal, "LayerState::append: ", rows, " rows, ",
          positions.size(), " positions");
  if (rows == 0) return;
  allocate(held + rows, keys);
  for (int64_t done = 0; done < rows;) {
    const int64_t first = (held + done) % kBlockRows, count = std::min(kBlockRows - first, rows - done);
    const Tensor& block = writable_block(static_cast<size_t>((held + done) / kBlockRows), keys);
    ops::store_rows(block, first, keys.narrow(0, done, count), values.narrow(0, done, count));
    done += count;
  }
  positions_.insert(positions_.end(), positions.begin(), positions.end());
}

ops::BlockedRows LayerState::rows(int64_t count) const {
  return {std::span(blocks_).first(static_cast<size_t>(blocks_for(count))),
          std::span(positions_).first(static_cast<size_t>(count))};
}

void LayerState::truncate(int64_t length) {
  positions_.resize(static_cast<size_t>(std::min(length, this->length())));
  const auto kept = static_cast<size_t>(blocks_for(std::max(this->length(), reserved_rows_)));
  if (kept < blocks_.size()) blocks_.resize(kept);
}

}  // namespace lithe::nn

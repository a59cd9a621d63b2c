#include "nn/layer_state.h"

#include <ATen/ops/empty_like.h>

#include <algorithm>

#include "base/error.h"

namespace lithe::nn {

int64_t LayerState::row_bytes() const {
  return blocks_.empty() ? 0 : static_cast<int64_t>(blocks_.front().nbytes()) / ops::capacity_of(blocks_.front());
}

int64_t LayerState::bytes() const {
  return length() * row_bytes();
}

int64_t LayerState::fitted_bytes() const {
  return ops::blocks_for(length()) * ops::kBlockRows * row_bytes();
}

int64_t LayerState::capacity() const {
  return blocks_.empty() ? 0 : std::ssize(blocks_) * ops::capacity_of(blocks_.front());
}

void LayerState::reserve(int64_t rows) {
  reserved_rows_ = rows;
  if (!blocks_.empty()) make_room(rows);
}

/// Of a state that has a block.
void LayerState::make_room(int64_t rows) {
  if (rows <= capacity()) return;
  if (in_one_block_) {
    blocks_.front() = ops::wider_block(blocks_.front(), length(), rows);
    return;
  }
  while (capacity() < rows) blocks_.push_back(at::empty_like(blocks_.front()));
}

/// Room for `rows` rows, and for those that are reserved.
void LayerState::allocate(int64_t rows, const Tensor& like) {
  if (!blocks_.empty()) return make_room(rows);
  const int64_t wanted = std::max(rows, reserved_rows_);
  blocks_.push_back(in_one_block_ ? ops::only_block(like, kind_, wanted) : ops::empty_block(like, kind_));
  make_room(wanted);
}

/// A block that no other state shares. A shared block is copied only if it holds rows.  rows: in all, with those that
/// come
const Tensor& LayerState::writable_block(size_t block, int64_t rows) {
  Tensor& own = blocks_[block];
  if (own.use_count() == 1) return own;
  if (in_one_block_) return own = ops::wider_block(own, length(), std::max(rows, reserved_rows_));
  const bool holds_rows = static_cast<int64_t>(block) * ops::capacity_of(own) < length();
  return own = holds_rows ? own.clone() : at::empty_like(own);
}

void LayerState::append(const Tensor& keys, const Tensor& values, std::span<const int64_t> positions) {
  const int64_t held = length(), rows = keys.size(0);
  require(rows == static_cast<int64_t>(positions.size()), Fault::internal, "LayerState::append: ", rows, " rows, ",
          positions.size(), " positions");
  if (rows == 0) return;
  allocate(held + rows, keys);
  const int64_t block_rows = ops::capacity_of(blocks_.front());
  for (int64_t done = 0; done < rows;) {
    const int64_t first = (held + done) % block_rows, count = std::min(block_rows - first, rows - done);
    const Tensor& block = writable_block(static_cast<size_t>((held + done) / block_rows), held + rows);
    ops::store_rows(block, first, keys.narrow(0, done, count), values.narrow(0, done, count));
    done += count;
  }
  positions_.insert(positions_.end(), positions.begin(), positions.end());
}

/// The blocks in which the first `rows` rows lie.
size_t LayerState::blocks_of(int64_t rows) const {
  if (blocks_.empty()) return 0;
  const int64_t block_rows = ops::capacity_of(blocks_.front());
  return static_cast<size_t>((rows + block_rows - 1) / block_rows);
}

ops::BlockedRows LayerState::rows(int64_t count) const {
  return {std::span(blocks_).first(blocks_of(count)), std::span(positions_).first(static_cast<size_t>(count))};
}

void LayerState::truncate(int64_t length) {
  positions_.resize(static_cast<size_t>(std::min(length, this->length())));
  const size_t kept = blocks_of(std::max(this->length(), reserved_rows_));
  if (kept < blocks_.size()) blocks_.resize(kept);
}

void LayerState::fit() {
  reserved_rows_ = 0;
  truncate(length());
  const int64_t needed = ops::blocks_for(length()) * ops::kBlockRows;
  if (in_one_block_ && needed < capacity()) blocks_.front() = ops::wider_block(blocks_.front(), length(), needed);
}

}  // namespace lithe::nn

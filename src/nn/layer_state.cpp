#include "nn/layer_state.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "base/error.h"

namespace lithe::nn {
namespace {

Tensor grown(const Tensor& old, const Tensor& like, int64_t held, int64_t capacity) {
  Tensor bigger = at::empty({capacity, like.size(1), like.size(2)}, like.options().requires_grad(false));
  if (held > 0) bigger.narrow(0, 0, held).copy_(old.narrow(0, 0, held));
  return bigger;
}

}  // namespace

int64_t LayerState::bytes() const {
  if (!keys_.defined()) return 0;
  return 2 * length() * keys_.size(1) * keys_.size(2) * static_cast<int64_t>(keys_.element_size());
}

void LayerState::append(const Tensor& keys, const Tensor& values, std::span<const int64_t> positions) {
  const int64_t held = length(), rows = keys.size(0);
  require(rows == static_cast<int64_t>(positions.size()), Fault::internal, "LayerState::append: ", rows, " rows, ",
          positions.size(), " positions");
  if (rows == 0) return;
  const int64_t capacity = keys_.defined() ? keys_.size(0) : 0;
  if (held + rows > capacity) {
    const int64_t wanted = std::max({held + rows, reserve_rows_, capacity + capacity / 4});
    Tensor more_keys = grown(keys_, keys, held, wanted), more_values = grown(values_, values, held, wanted);
    keys_ = std::move(more_keys);  // both or none, as memory may run out between them
    values_ = std::move(more_values);
  }
  keys_.narrow(0, held, rows).copy_(keys.detach());
  values_.narrow(0, held, rows).copy_(values.detach());
  positions_.insert(positions_.end(), positions.begin(), positions.end());
}

ops::KeyValueSpan LayerState::span() const {
  require(keys_.defined(), Fault::internal, "LayerState::span: no rows are held");
  return {keys_.narrow(0, 0, length()), values_.narrow(0, 0, length()), positions_};
}

void LayerState::truncate(int64_t length) {
  if (length < this->length()) positions_.resize(static_cast<size_t>(length));
}

}  // namespace lithe::nn

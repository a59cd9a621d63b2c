#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/index_copy.h>

namespace lithe::routing {

/// `base` with `rows` at `index`: in the memory of `base`, which is given away, unless a gradient is taken.
/// base: [all, ..], index: [some], rows: [some, ..] -> [all, ..]
inline at::Tensor with_rows(at::Tensor base, const at::Tensor& index, const at::Tensor& rows) {
  const bool learns = at::GradMode::is_enabled() && (base.requires_grad() || rows.requires_grad());
  return learns ? at::index_copy(base, 0, index, rows) : base.index_copy_(0, index, rows);
}

}  // namespace lithe::routing

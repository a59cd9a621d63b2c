#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/tensor_view.h"

namespace lithe::io {

/// How a tensor lies in its storage, in elements.
struct Layout {
  int64_t offset = 0;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  ///< As many as shape; at least 0.
};

/// Bytes of copies that may still be made for one file.
struct CopyBudget {
  int64_t bytes;
};

/// The tensor that `layout` cuts out of `storage` (aligned to the dtype): a view if it is row-major there, else a
/// copy, which `budget` must cover. Throws Error{bad_file} if it leaves the storage; `where` names the tensor.
TensorView cut_tensor(const Bytes& storage, Dtype dtype, const Layout& layout, CopyBudget& budget,
                      const std::string& where);

}  // namespace lithe::io

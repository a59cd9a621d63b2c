#include "checkpoints/read/tensor_over.h"

#include <ATen/ops/from_blob.h>

#include "base/error.h"

namespace lithe::models {
namespace {

at::Tensor over(const io::TensorView& view, at::ScalarType type) {
  // LibTorch knows no read-only memory; nothing in this engine writes to weights that it did not allocate.
  void* data = const_cast<void*>(static_cast<const void*>(view.bytes.data()));
  return at::from_blob(
      data, view.shape, [owner = view.owner](void*) {}, at::TensorOptions(type));
}

}  // namespace

std::optional<at::ScalarType> float_type(io::Dtype dtype) {
  switch (dtype) {
    case io::Dtype::float64:
      return at::kDouble;
    case io::Dtype::float32:
      return at::kFloat;
    case io::Dtype::float16:
      return at::kHalf;
    case io::Dtype::bfloat16:
      return at::kBFloat16;
    default:
      return std::nullopt;
  }
}

at::Tensor tensor_over(const io::TensorView& view) {
  const std::optional<at::ScalarType> type = float_type(view.dtype);
  require(type.has_value(), Fault::bad_file, view.file, ": a weight is ", io::name_of(view.dtype),
          ", weights must be F64, F32, F16 or BF16");
  return over(view, *type);
}

at::Tensor codes_over(const io::TensorView& view) {
  require(view.dtype == io::Dtype::int8, Fault::bad_file, view.file, ": codes of a weight are ",
          io::name_of(view.dtype), ", they must be I8");
  return over(view, at::kChar);
}

}  // namespace lithe::models

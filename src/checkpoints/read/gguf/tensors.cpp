#include "checkpoints/read/gguf/tensors.h"

#include <cstring>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/gguf/codes.h"

namespace lithe::models {
namespace {

std::optional<io::Dtype> plain_type(io::GgufType type) {
  return io::dtype_named(io::name_of(type));  // "F32", "BF16", "I64": both formats spell them alike
}

bool is_query_or_key(const std::string& name) {
  return name.starts_with("blk.") && (name.find(".attn_q.") != name.npos || name.find(".attn_k.") != name.npos);
}

/// The rows of a query or key whose rows lie interleaved; absent if they lie as in the model.
std::optional<Interleaved> order_of(const std::string& name, const io::GgufTensor& tensor, const GgufOrder& order,
                                    const std::string& where) {
  if (!order.interleaved || !is_query_or_key(name)) return std::nullopt;
  const int64_t rows = tensor.shape.empty() ? 0 : tensor.shape[0];
  require(order.head_dim > 0 && order.head_dim % 2 == 0 && rows % order.head_dim == 0, Fault::bad_file, where, " has ",
          rows, " rows, which heads of ", order.head_dim, " do not divide");
  return Interleaved{order.head_dim};
}

io::TensorView view_of(const io::GgufTensor& tensor, io::Dtype type) {
  return {type, tensor.shape, tensor.bytes.span, tensor.bytes.owner, tensor.bytes.file};
}

io::TensorView reordered(const io::GgufTensor& tensor, io::Dtype type, const Interleaved& order) {
  const auto size = tensor.bytes.span.size(), row = size / static_cast<std::size_t>(tensor.shape[0]);
  const std::shared_ptr<std::byte> moved = io::allocate_aligned(size);
  for (int64_t i = 0; i < tensor.shape[0]; ++i)
    std::memcpy(moved.get() + static_cast<std::size_t>(i) * row,
                tensor.bytes.span.data() + static_cast<std::size_t>(order.in_file(i)) * row, row);
  return {type, tensor.shape, {moved.get(), size}, moved, tensor.bytes.file};
}

}  // namespace

GgufTensors tensors_of(const io::GgufFile& file, const GgufOrder& order) {
  std::map<std::string, io::TensorView> views;
  std::vector<PackedWeight> packed;
  for (const auto& [name, tensor] : file.tensors()) {
    const std::string where = concat(file.file(), ": the tensor ", in_quotes(name));
    const std::optional<Interleaved> rows = order_of(name, tensor, order, where);
    if (const std::optional<io::Dtype> type = plain_type(tensor.type)) {
      views[name] = rows ? reordered(tensor, *type, *rows) : view_of(tensor, *type);
      continue;
    }
    require(
        has_codes(tensor.type), Fault::bad_file, where, " is ", io::name_of(tensor.type),
        ", and F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K are read; quantise the model again "
        "with `llama-quantize`, for example to Q4_K_M or Q8_0");
    require(tensor.shape.size() == 2, Fault::bad_file, where, " is ", io::name_of(tensor.type), " ",
            io::text_of(tensor.shape), ", and only matrices can be codes");
    views[name] = view_of(tensor, io::Dtype::int8);
    packed.push_back({.name = name, .shape = tensor.shape, .codes = [tensor, rows] { return codes_of(tensor, rows); }});
  }
  return {io::Checkpoint::of(file.file(), std::move(views)), std::move(packed)};
}

}  // namespace lithe::models

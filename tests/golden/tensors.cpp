#include "golden/tensors.h"

#include "checkpoints/read/weights.h"

namespace lithe::golden {

at::Tensor TensorFile::operator[](const std::string& name) const {
  return models::tensor_over(view(name));
}

nn::Linear TensorFile::linear(const std::string& name) const {
  const at::Tensor matrix = (*this)[name + ".weight"];
  return {matrix.dim() == 3 ? matrix.squeeze(-1) : matrix, (*this)[name + ".bias"]};
}

nn::GatedUp TensorFile::up(const std::string& name, int64_t groups, double scale) const {
  const nn::Linear b = linear(name + ".conv_B"), d = linear(name + ".conv_D");
  const auto matrix = [](const nn::Linear& part) { return part.weight.widened(part.weight.type()); };
  return {matrix(b), b.bias, matrix(d), d.bias, groups, scale};
}

routing::Batch batch_of(const routing::Sequence& sequence, std::vector<routing::RowKind> kinds) {
  routing::Batch batch;
  batch.add(sequence, kinds);
  return batch;
}

}  // namespace lithe::golden

#include "tune/meter_loss.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"

namespace lithe::tune {

Tensor soft_targets(const std::vector<SoftLabels>& labels, int64_t classes) {
  const Tensor targets = at::zeros({static_cast<int64_t>(labels.size()), classes}, at::kFloat);
  float* row = targets.mutable_data_ptr<float>();
  for (const SoftLabels& sample : labels) {
    for (const auto& [label, score] : sample) {
      require(label >= 0 && label < classes, Fault::bad_file, "a sample has the answer ", label,
              ", but the head tells ", classes, " answers apart");
      row[label] = static_cast<float>(score);
    }
    row += classes;
  }
  return targets;
}

Tensor soft_label_loss(const Tensor& logits, const Tensor& targets) {
  return at::binary_cross_entropy_with_logits(logits, targets.to(logits.device())) *
         static_cast<double>(targets.size(1));
}

Tensor class_loss(const Tensor& logits, const Tensor& labels) {
  return at::cross_entropy_loss(logits, labels.to(logits.device()));
}

}  // namespace lithe::tune

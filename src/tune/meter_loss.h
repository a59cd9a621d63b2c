#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

// The losses of METER's heads, as its public code has them. Each is a mean over samples.
namespace lithe::tune {

using at::Tensor;

/// A class and its score: what VQAv2's annotators agreed on.
using SoftLabels = std::vector<std::pair<int64_t, double>>;

/// -> [samples, classes] float32
Tensor soft_targets(const std::vector<SoftLabels>& labels, int64_t classes);

/// The binary cross entropy of all classes, summed over classes.  logits, targets: [samples, classes] -> []
Tensor soft_label_loss(const Tensor& logits, const Tensor& targets);

/// The cross entropy; rows whose label is -100 are left out.  logits: [rows, classes], labels: [rows] int64 -> []
Tensor class_loss(const Tensor& logits, const Tensor& labels);

}  // namespace lithe::tune

#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "golden/tensors.h"
#include "models/meter/meter.h"
#include "plan/meter_sites.h"
#include "tune/meter_loss.h"

namespace lithe::golden {

/// What a METER case says that its checkpoints do not, as open_meter takes it.
Json meter_settings_of(const Json& case_json);

/// The rows of an integer tensor as texts. `masks`: the tensor that has 0 for padding; empty: there is no padding.
std::vector<models::TextIds> meter_texts(const TensorFile& inputs, const std::string& ids,
                                         const std::string& masks = {});

/// "vqa_labels" and "vqa_scores" of the first samples.
std::vector<tune::SoftLabels> meter_answers(const Json& case_json, size_t samples);

/// Every weight that learns, by its name in the checkpoint.
std::map<std::string, at::Tensor> meter_leaves(models::Meter& meter);

}  // namespace lithe::golden

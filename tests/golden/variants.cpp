#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <algorithm>

#include "base/error.h"
#include "checkpoints/read/catalogue.h"
#include "golden/device.h"
#include "golden/packed_batch.h"
#include "golden/sample_run.h"

namespace lithe::golden {
namespace {

/// The rows of the given batch that are not padding; a row is a vision row if the variant's mask marks it as a target.
std::vector<PackedSequence> sequences_of(const Case& golden, const std::string& mask_name, bool all_are_targets) {
  const io::TensorView& embeddings = golden.expected.tensors.at("inputs_embeds");
  const std::vector<int64_t> real = integers_of(golden.expected.tensors.at("attention_mask"));
  const std::vector<int64_t> target = integers_of(golden.expected.tensors.at(mask_name));
  const int64_t batch = embeddings.shape.at(0), columns = embeddings.shape.at(1), width = embeddings.shape.at(2);
  const std::span<const float> values = embeddings.values<float>();
  std::vector<PackedSequence> sequences;
  for (int64_t s = 0; s < batch; ++s) {
    std::vector<float> rows;
    PackedSequence sequence;
    for (int64_t i = s * columns; i < (s + 1) * columns; ++i) {
      if (real.at(static_cast<std::size_t>(i)) == 0) continue;
      const auto row = values.subspan(static_cast<std::size_t>(i * width), static_cast<std::size_t>(width));
      rows.insert(rows.end(), row.begin(), row.end());
      const bool vision = !all_are_targets && target.at(static_cast<std::size_t>(i)) != 0;
      sequence.kinds.push_back(vision ? routing::RowKind::vision : routing::RowKind::text);
    }
    sequence.embeddings = at::tensor(at::ArrayRef<float>(rows), at::kFloat).view({-1, width});
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

/// A [batch, columns, ...] tensor out of what each sequence gives, zeros at padding.
std::vector<float> at_rows(const std::vector<std::vector<float>>& per_sequence, const io::TensorView& expected) {
  std::vector<float> all;
  const std::size_t room = static_cast<std::size_t>(expected.count()) / per_sequence.size();
  for (std::vector<float> values : per_sequence) {
    values.resize(std::max(values.size(), room), 0.0F);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

/// Weights at the target rows of each sequence, 0 elsewhere.
std::vector<std::vector<float>> spread(const std::vector<std::vector<float>>& weights,
                                       const std::vector<PackedSequence>& sequences, bool all_are_targets) {
  std::vector<std::vector<float>> rows;
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    std::size_t next = 0;
    rows.emplace_back();
    for (const routing::RowKind kind : sequences[s].kinds) {
      const bool target = all_are_targets || kind == routing::RowKind::vision;
      rows.back().push_back(target ? weights.at(s).at(next++) : 0.0F);
    }
  }
  return rows;
}

void run_variant(const Case& golden, const std::string& name, const Json& variant, Check& check) {
  const auto model = models::open_model(golden.folder / ("checkpoint_" + name), {.device = device()});
  const bool all = routed_group(model->plan) == plan::Group::all;
  const std::vector<PackedSequence> sequences = sequences_of(golden, variant.at("mask"), all);
  const PackedResult result = PackedRun(*model, sequences).prefill();
  for (const auto& [tensor, expected] : golden.expected.tensors) {
    if (!tensor.starts_with(name + ".")) continue;
    const std::string rest = tensor.substr(name.size() + 1);
    if (rest == "logits") {
      std::vector<std::vector<float>> logits;
      for (const at::Tensor& rows : result.logits) logits.push_back(values_of(rows));
      check.floats(tensor, expected, at_rows(logits, expected), golden.tolerances.of({"logits"}));
      continue;
    }
    const int64_t layer = std::stoll(rest.substr(std::string("layer").size()));
    if (rest.ends_with(".kept_all")) {
      std::vector<int64_t> kept;
      for (std::vector<int64_t> row : result.kept.at(layer)) {
        row.resize(std::max(row.size(), static_cast<std::size_t>(expected.shape.back())), -1);
        kept.insert(kept.end(), row.begin(), row.end());
      }
      check.integers(tensor, integers_of(expected), kept);
    } else if (rest.ends_with(".router_weight")) {
      check.floats(tensor, expected, at_rows(spread(result.router_weight.at(layer), sequences, all), expected),
                   golden.tolerances.of({"router", "hidden"}));
    } else {
      check.skip(rest);
    }
  }
}

}  // namespace

Check run_variants(const Case& golden) {
  const c10::InferenceMode no_gradients;
  Check check;
  for (const auto& [name, variant] : golden.json.at("variants").items()) {
    try {
      run_variant(golden, name, variant, check);
    } catch (const Error& error) {
      check.fault(name + ": " + error.what());
    }
  }
  return check;
}

}  // namespace lithe::golden

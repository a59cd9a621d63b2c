#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <regex>

#include "base/error.h"
#include "golden/packed_batch.h"
#include "golden/sample_run.h"
#include "session/prompt_rows.h"

namespace lithe::golden {
namespace {

using Rows = std::vector<std::vector<int64_t>>;

/// The rows of a [rows, columns] integer tensor.
Rows rows_of(const io::TensorView& tensor) {
  const std::vector<int64_t> flat = integers_of(tensor);
  const auto columns = static_cast<std::size_t>(tensor.shape.back());
  Rows rows;
  for (std::size_t at = 0; at < flat.size(); at += columns) {
    rows.emplace_back(flat.begin() + static_cast<std::ptrdiff_t>(at),
                      flat.begin() + static_cast<std::ptrdiff_t>(at + columns));
  }
  return rows;
}

/// Ids of each sequence without padding, by the mask that goes with them.
Rows unpadded_ids(const io::SafetensorsFile& expected) {
  Rows ids = rows_of(expected.tensors.at("batch.input_ids"));
  const auto given = expected.tensors.find("batch.attention_mask_in");
  const Rows mask =
      rows_of(given == expected.tensors.end() ? expected.tensors.at("batch.attention_mask") : given->second);
  for (std::size_t s = 0; s < ids.size(); ++s) {
    std::vector<int64_t> kept;
    for (std::size_t i = 0; i < ids[s].size(); ++i) {
      if (mask.at(s).at(i) != 0) kept.push_back(ids[s][i]);
    }
    ids[s] = kept;
  }
  return ids;
}

/// A row of the batch is a sample of the case with the same ids, or text alone.
PackedSequence sequence_of(SampleRun& run, const std::vector<int64_t>& ids) {
  for (std::size_t i = 0; i < run.golden().json.at("samples").size(); ++i) {
    const auto known = run.golden().expected.tensors.find(fmt::format("s{}.input_ids", i));
    if (known == run.golden().expected.tensors.end() || integers_of(known->second) != ids) continue;
    const session::PromptRows prompt = session::build_prompt(run.model(), run.request(i));
    return {prompt.embeddings, prompt.kinds};
  }
  require(std::find(ids.begin(), ids.end(), text::kImageId) == ids.end(), Fault::bad_file,
          "A row of the batch holds a picture and is not one of the samples.");
  return {run.model().decoder.embed(at::tensor(at::ArrayRef<int64_t>(ids), at::kLong)),
          std::vector<routing::RowKind>(ids.size(), routing::RowKind::text)};
}

std::vector<float> last_rows(const at::Tensor& logits, int64_t count) {
  return values_of(logits.slice(0, std::max<int64_t>(0, logits.size(0) - count)));
}

/// One flat list of what each sequence gives, padded to `columns`.
std::vector<int64_t> padded(const Rows& rows, int64_t columns, int64_t filler) {
  std::vector<int64_t> flat;
  for (std::vector<int64_t> row : rows) {
    row.resize(std::max(row.size(), static_cast<std::size_t>(columns)), filler);
    flat.insert(flat.end(), row.begin(), row.end());
  }
  return flat;
}

void compare(const std::string& name, const io::TensorView& expected, const PackedResult& result,
             const std::vector<PackedSequence>& sequences, const models::Model& model, Tolerance tolerance,
             Check& check) {
  static const std::regex kept(R"(batch\.layer(\d+)\.kept_all)");
  std::smatch match;
  const int64_t columns = expected.shape.back();
  if (name == "batch.logits_tail" || name == "batch.logits_last") {
    std::vector<float> all;
    for (const at::Tensor& logits : result.logits) {
      const std::vector<float> rows = last_rows(logits, name == "batch.logits_tail" ? expected.shape.at(1) : 1);
      all.insert(all.end(), rows.begin(), rows.end());
    }
    check.floats(name, expected, all, tolerance);
  } else if (std::regex_match(name, match, kept)) {
    check.integers(name, integers_of(expected), padded(result.kept.at(std::stoll(match[1])), columns, -1));
  } else if (name == "batch.mod_target_mask") {
    Rows mask(sequences.size());
    for (std::size_t s = 0; s < sequences.size(); ++s) {
      for (const routing::RowKind kind : sequences[s].kinds) {
        mask[s].push_back(plan::belongs(kind, routed_group(model.plan)) ? 1 : 0);
      }
    }
    check.integers(name, integers_of(expected), padded(mask, columns, 0));
  } else if (name == "batch.attention_mask") {
    std::vector<int64_t> lengths, real;
    for (const std::vector<int64_t>& row : rows_of(expected)) lengths.push_back(std::count(row.begin(), row.end(), 1));
    for (const PackedSequence& sequence : sequences) real.push_back(static_cast<int64_t>(sequence.kinds.size()));
    check.integers(name, lengths, real);
  }
}

}  // namespace

void check_batch(SampleRun& run, Check& check) {
  const auto& tensors = run.golden().expected.tensors;
  if (!tensors.contains("batch.input_ids")) return;
  const c10::InferenceMode no_gradients;
  std::vector<PackedSequence> sequences;
  for (const std::vector<int64_t>& ids : unpadded_ids(run.golden().expected))
    sequences.push_back(sequence_of(run, ids));
  PackedRun packed(run.model(), sequences);
  const PackedResult result = packed.prefill();
  const Tolerance tolerance = run.golden().tolerances.of({"logits"});
  for (const auto& [name, expected] : tensors) {
    if (name.starts_with("batch.")) compare(name, expected, result, sequences, run.model(), tolerance, check);
  }
  const auto greedy = tensors.find("batch.greedy_tokens");
  if (greedy == tensors.end()) return;
  const int64_t steps = greedy->second.shape.back();
  check.integers(greedy->first, integers_of(greedy->second), padded(packed.decode(steps), steps, -1));
}

}  // namespace lithe::golden

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

/// What a tensor of the batch says of each sequence's real rows, by this mask.
Rows unpadded(const io::TensorView& tensor, const io::TensorView& mask) {
  Rows rows = rows_of(tensor);
  const Rows real = rows_of(mask);
  for (std::size_t s = 0; s < rows.size(); ++s) {
    std::vector<int64_t> kept;
    for (std::size_t i = 0; i < rows[s].size(); ++i) {
      if (real.at(s).at(i) != 0) kept.push_back(rows[s][i]);
    }
    rows[s] = kept;
  }
  return rows;
}

/// The ids of each sequence without padding.
Rows unpadded_ids(const io::SafetensorsFile& expected) {
  const auto given = expected.tensors.find("batch.attention_mask_in");
  return unpadded(expected.tensors.at("batch.input_ids"),
                  given == expected.tensors.end() ? expected.tensors.at("batch.attention_mask") : given->second);
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

/// Whether a tensor is not compared here: what went in, and the tokens that come after.
bool is_elsewhere(const std::string& name) {
  return name == "batch.input_ids" || name == "batch.attention_mask_in" || name == "batch.greedy_tokens";
}

void compare(const std::string& name, const io::TensorView& expected, const PackedResult& result,
             const std::vector<PackedSequence>& sequences, SampleRun& run, Check& check) {
  static const std::regex kept(R"(batch\.layer(\d+)\.kept_all)");
  std::smatch match;
  const int64_t columns = expected.shape.back();
  if (name == "batch.logits_tail" || name == "batch.logits_last") {
    std::vector<float> all;
    for (const at::Tensor& logits : result.logits) {
      const std::vector<float> rows = last_rows(logits, name == "batch.logits_tail" ? expected.shape.at(1) : 1);
      all.insert(all.end(), rows.begin(), rows.end());
    }
    check.floats(name, expected, all, run.golden().tolerances.of({"logits"}));
  } else if (std::regex_match(name, match, kept)) {
    check.integers(name, integers_of(expected), padded(result.kept.at(std::stoll(match[1])), columns, -1));
  } else if (name == "batch.mod_target_mask") {
    Rows mask(sequences.size());
    for (std::size_t s = 0; s < sequences.size(); ++s) {
      for (const routing::RowKind kind : sequences[s].kinds) {
        mask[s].push_back(plan::belongs(kind, routed_group(run.model().plan)) ? 1 : 0);
      }
    }
    check.integers(name, integers_of(expected), padded(mask, columns, 0));
  } else if (name == "batch.attention_mask") {
    std::vector<int64_t> lengths, real;
    for (const std::vector<int64_t>& row : rows_of(expected)) lengths.push_back(std::count(row.begin(), row.end(), 1));
    for (const PackedSequence& sequence : sequences) real.push_back(static_cast<int64_t>(sequence.kinds.size()));
    check.integers(name, lengths, real);
  } else if (name == "batch.position_ids") {
    const Rows places = unpadded(expected, run.golden().expected.tensors.at("batch.attention_mask"));
    for (std::size_t s = 0; s < places.size(); ++s)
      check.integers(fmt::format("{} of sequence {}", name, s), places[s], result.places.at(s));
  } else if (!is_elsewhere(name)) {
    check.skip(name);
  }
}

}  // namespace

void check_batch(SampleRun& run, Check& check) {
  const auto& tensors = run.golden().expected.tensors;
  if (!tensors.contains("batch.input_ids")) {
    for (const auto& [name, expected] : tensors)
      if (name.starts_with("batch.")) check.skip(name);
    return;
  }
  const c10::InferenceMode no_gradients;
  std::vector<PackedSequence> sequences;
  for (const std::vector<int64_t>& ids : unpadded_ids(run.golden().expected))
    sequences.push_back(sequence_of(run, ids));
  PackedRun packed(run.model(), sequences);
  const PackedResult result = packed.prefill();
  for (const auto& [name, expected] : tensors) {
    if (name.starts_with("batch.")) compare(name, expected, result, sequences, run, check);
  }
  const auto greedy = tensors.find("batch.greedy_tokens");
  if (greedy == tensors.end()) return;
  const int64_t steps = greedy->second.shape.back();
  check.integers(greedy->first, integers_of(greedy->second), padded(packed.decode(steps), steps, -1));
}

}  // namespace lithe::golden

#include "checkpoints/write/code_tensors.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/tensor_over.h"
#include "io/mapped_file.h"
#include "ops/low_bit.h"

namespace lithe::models {
namespace {

constexpr int64_t kInWord = 8;  // codes of int4

/// Codes of int4 in the plain order of their columns, the first in the lowest bits.  -> [out, in / 8] int32
Tensor words_of(const ops::LowBit& weight) {
  constexpr int64_t kHalf = ops::kCodeBlock / 2;
  const int64_t row_bytes = weight.width / 2;
  Tensor words = at::empty({weight.outs(), weight.width / kInWord}, at::kInt);
  const auto* const from = weight.codes.const_data_ptr<uint8_t>();
  auto* const to = static_cast<uint8_t*>(words.mutable_data_ptr());
  at::parallel_for(0, weight.outs(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin * row_bytes; at < end * row_bytes; at += kHalf) {
      for (int64_t i = 0; i < kHalf; i += 2) {  // columns i, i + 1 and, half a block on, 16 + i, 17 + i
        const int first = from[at + i], second = from[at + i + 1];
        to[at + i / 2] = static_cast<uint8_t>((first & 15) | (second & 15) << 4);
        to[at + kHalf / 2 + i / 2] = static_cast<uint8_t>(first >> 4 | (second >> 4) << 4);
      }
    }
  });
  return words;
}

bool is_int4(const CodedWeight& weight) {
  return weight.codes.kind == ops::WeightKind::int4;
}

const char* format_of(bool int4) {
  return int4 ? "pack-quantized" : "int-quantized";
}

/// A line of config_groups.
Json scheme(const Codes& codes, bool a_row, std::vector<std::string> targets) {
  const bool int4 = codes.kind == ops::WeightKind::int4;
  Json weights{{"num_bits", int4 ? 4 : 8},
               {"type", "int"},
               {"symmetric", true},
               {"dynamic", false},
               {"strategy", a_row ? "channel" : "group"},
               {"group_size", nullptr}};
  if (!a_row) weights["group_size"] = codes.group;
  return {{"targets", std::move(targets)},
          {"weights", std::move(weights)},
          {"input_activations", nullptr},
          {"output_activations", nullptr},
          {"format", format_of(int4)}};
}

std::string escaped(const std::string& name) {
  std::string pattern;
  for (const char c : name) pattern += c == '.' ? std::string("\\.") : std::string(1, c);
  return pattern;
}

/// A pattern for a module. Checkpoints and the versions of transformers differ in what precedes "layers.", and only a
/// tower's layers are those of an encoder.
std::string pattern_of(const std::string& module) {
  for (const auto& [part, before] : {std::pair("encoder.layers.", ".*"),
                                     {"layers.", "^(?!.*encoder).*"},
                                     {"embed_tokens", ".*"},
                                     {"lm_head", ".*"}}) {
    const size_t at = module.rfind(part);
    if (at != module.npos) return concat("re:", before, escaped(module.substr(at)), "$");
  }
  return concat("re:.*", escaped(module), "$");
}

}  // namespace

MadeTensors code_tensors(const CodedWeight& weight, const io::TensorView& view) {
  const int64_t out = weight.shape[0], in = weight.shape[1];
  const std::string name = weight.module + ".weight";
  const bool int4 = is_int4(weight);
  MadeTensors made;
  if (int4)
    made.tensors = {{name + "_packed", io::Dtype::int32, {out, in / kInWord}},
                    {name + "_shape", io::Dtype::int64, {2}}};
  else
    made.tensors = {{name, io::Dtype::int8, {out, in}}};
  made.tensors.push_back(
      {name + "_scale", io::Dtype::float32, {out, (in + weight.codes.group - 1) / weight.codes.group}});
  made.make = [weight, name, int4, &view]() -> std::vector<Tensor> {
    const ops::LowBit codes =
        weight.made ? *weight.made
                    : ops::quantised(tensor_over(view).view(weight.shape), weight.codes.kind, weight.codes.group);
    io::need_no_more(view.bytes);
    require(codes.scales.isfinite().all().item<bool>(), Fault::bad_file, "the weight ", in_quotes(name),
            " holds numbers that are not finite; fetch or export the model again");
    if (!int4) return {codes.codes, codes.scales};
    return {words_of(codes), at::tensor(weight.shape), codes.scales};
  };
  return made;
}

Json code_config(const std::vector<CodedWeight>& weights, const std::vector<std::string>& plain) {
  // A scheme for each kind of codes: its bits, and its group or 0 if a whole row shares a scale.
  std::map<std::pair<int64_t, int64_t>, std::vector<const CodedWeight*>> kinds;
  for (const CodedWeight& weight : weights) {
    const bool a_row = weight.codes.group >= weight.shape[1];
    kinds[{ops::bits_of(weight.codes.kind), a_row ? 0 : weight.codes.group}].push_back(&weight);
  }
  // The most common one is that of every product that no other scheme names.
  const auto common = std::max_element(kinds.begin(), kinds.end(),
                                       [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  Json groups = Json::object();
  bool any_int4 = false, any_int8 = false;
  for (auto kind = kinds.begin(); kind != kinds.end(); ++kind) {
    std::vector<std::string> targets;
    if (kind == common) targets.emplace_back("Linear");
    for (const CodedWeight* weight : kind->second)
      if (kind != common || weight->embeddings) targets.push_back(pattern_of(weight->module));
    const CodedWeight& one = *kind->second.front();
    (is_int4(one) ? any_int4 : any_int8) = true;
    groups[concat("group_", groups.size())] = scheme(one.codes, kind->first.second == 0, std::move(targets));
  }
  std::vector<std::string> ignored;
  for (const std::string& module : plain) ignored.push_back(pattern_of(module));
  const char* const format = any_int4 && any_int8 ? "mixed-precision" : format_of(any_int4);
  return {{"quant_method", "compressed-tensors"}, {"format", format},
          {"quantization_status", "compressed"},  {"config_groups", std::move(groups)},
          {"ignore", std::move(ignored)},         {"kv_cache_scheme", nullptr},
          {"global_compression_ratio", nullptr}};
}

}  // namespace lithe::models

#include "models/weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/Device.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>

#include "base/error.h"
#include "io/mapped_file.h"

namespace lithe::models {
namespace {

constexpr size_t kNamesShown = 8;

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

/// The type in which a weight of the file's type is held. float64 is not: the arithmetic is float32.
at::ScalarType held_type(WeightStorage storage, bool matrix, at::ScalarType file) {
  if (!matrix || storage == WeightStorage::float32) return at::kFloat;
  if (storage == WeightStorage::bfloat16) return at::kBFloat16;
  if (storage == WeightStorage::float16) return at::kHalf;
  return file == at::kDouble ? at::kFloat : file;
}

/// Tensors that published checkpoints carry and LLaVA does not read.
bool is_useless(std::string_view name) {
  static constexpr std::array<std::string_view, 10> kParts{
      "rotary_emb.inv_freq", "post_layernorm.",    "position_ids", "logit_scale", "text_model.",
      "text_projection.",    "visual_projection.", "masked_bias",  "mask_token",  "num_batches_tracked"};
  return std::any_of(kParts.begin(), kParts.end(), [&](std::string_view part) { return name.find(part) != name.npos; });
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) text += (i == 0 ? " " : ", ") + names[i];
  return names.size() > kNamesShown ? text + " and " + std::to_string(names.size() - kNamesShown) + " more" : text;
}

std::string part(const char* what, const std::vector<std::string>& names) {
  return concat(what, " ", names.size(), names.empty() ? "" : ":", listed(names));
}

}  // namespace

at::Tensor tensor_over(const io::TensorView& view) {
  const std::optional<at::ScalarType> type = float_type(view.dtype);
  require(type.has_value(), Fault::bad_file, view.file, ": a weight is ", io::name_of(view.dtype),
          ", weights must be F64, F32, F16 or BF16");
  // LibTorch knows no read-only memory; nothing in this engine writes to weights that it did not allocate.
  void* data = const_cast<void*>(static_cast<const void*>(view.bytes.data()));
  return at::from_blob(
      data, view.shape, [owner = view.owner](void*) {}, at::TensorOptions(*type));
}

std::string prefix_of(const io::Checkpoint& checkpoint, const std::vector<std::string>& prefixes,
                      const std::string& name) {
  const auto found = std::find_if(prefixes.begin(), prefixes.end(),
                                  [&](const std::string& prefix) { return checkpoint.contains(prefix + name); });
  return found != prefixes.end() ? *found : prefixes.front();
}

namespace {

/// A convolution of width 1, as published adapters are stored, is a matrix.
bool fits(std::vector<int64_t> file, const WeightSlot& slot) {
  if (file.size() == slot.shape.size() + 1 && slot.shape.size() == 2 && file.back() == 1) file.pop_back();
  return file == slot.shape;
}

}  // namespace

const io::Checkpoint& WeightLoader::open(const std::filesystem::path& path) {
  return *checkpoints_.emplace_back(std::make_unique<io::Checkpoint>(io::Checkpoint::open(path)));
}

void WeightLoader::take(const io::Checkpoint& checkpoint, const std::string& name, const WeightSlot& slot) {
  const io::TensorView* view = checkpoint.find(name);
  if (!view) {
    missing_.push_back(name);
    return;
  }
  taken_.emplace_back(&checkpoint, name);
  if (!fits(view->shape, slot)) {
    misshapen_.push_back(concat(name, " file ", io::text_of(view->shape), ", model ", io::text_of(slot.shape)));
  } else if (!float_type(view->dtype)) {
    misshapen_.push_back(concat(name, " file ", io::name_of(view->dtype), ", model F32, F16 or BF16"));
  } else {
    claims_.push_back({view, &slot.tensor, slot.shape, slot.matrix});
  }
}

void WeightLoader::ignore(const io::Checkpoint& checkpoint, const std::string& name) {
  ignored_.emplace_back(&checkpoint, name);
}

void WeightLoader::refuse_others(const io::Checkpoint& checkpoint) {
  std::set<std::string> taken;
  for (const auto& [source, name] : taken_) {
    if (source == &checkpoint) taken.insert(name);
  }
  const auto is_ignored = [&](const std::string& name) {
    return std::any_of(ignored_.begin(), ignored_.end(), [&](const auto& entry) {
      const auto& [source, pattern] = entry;
      return source == &checkpoint && (pattern.ends_with('.') ? name.starts_with(pattern) : name == pattern);
    });
  };
  for (const std::string& name : checkpoint.names()) {
    if (!taken.contains(name) && !is_useless(name) && !is_ignored(name)) unexpected_.push_back(name);
  }
}

void WeightLoader::check() const {
  if (missing_.empty() && unexpected_.empty() && misshapen_.empty()) return;
  std::string where;
  for (const auto& checkpoint : checkpoints_) where += (where.empty() ? "" : " and ") + checkpoint->path().string();
  fail(Fault::bad_file, where, ": the weights do not fit config.json: ", part("missing", missing_), "; ",
       part("unexpected", unexpected_), "; ", part("misshapen", misshapen_));
}

at::Tensor WeightLoader::held(const Claim& claim) const {
  const at::Tensor mapped = tensor_over(*claim.view).view(claim.shape);
  at::Tensor held = mapped.to(held_type(options_.weights, claim.matrix, mapped.scalar_type()));
  if (options_.device != "cpu") held = held.to(at::Device(options_.device));
  // A copy was made: the file's pages need not stay in memory beside it.
  if (held.data_ptr() != mapped.data_ptr()) io::need_no_more(claim.view->bytes);
  return held;
}

int64_t WeightLoader::load() {
  check();
  int64_t total = 0, done = 0, bytes = 0;
  for (const Claim& claim : claims_) total += static_cast<int64_t>(claim.view->bytes.size());
  if (options_.progress) options_.progress(0, total);
  for (const Claim& claim : claims_) {
    *claim.tensor = held(claim);
    bytes += static_cast<int64_t>(claim.tensor->nbytes());
    done += static_cast<int64_t>(claim.view->bytes.size());
    if (options_.progress) options_.progress(done, total);
  }
  return bytes;
}

}  // namespace lithe::models

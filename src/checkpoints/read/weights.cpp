#include "checkpoints/read/weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/empty.h>
#include <c10/core/Device.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "checkpoints/read/quantised.h"
#include "io/mapped_file.h"
#include "ops/low_bit.h"

namespace lithe::models {
namespace {

constexpr size_t kNamesShown = 8;

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

std::string prefix_of(const io::Checkpoint& checkpoint, const std::vector<std::string>& prefixes,
                      const std::string& name) {
  const auto found = std::find_if(prefixes.begin(), prefixes.end(),
                                  [&](const std::string& prefix) { return checkpoint.contains(prefix + name); });
  return found != prefixes.end() ? *found : prefixes.front();
}

namespace {

/// A convolution of width 1, as published adapters are stored, is a matrix.
bool fits(std::vector<int64_t> file, const std::vector<int64_t>& shape) {
  if (file.size() == 3 && shape.size() == 2 && file.back() == 1) file.pop_back();
  return file == shape;
}

}  // namespace

WeightLoader::WeightLoader(const LoadOptions& options, bool ties) : options_(options), ties_(ties) {
  if (!options.lora.empty()) lora_ = LoraFolder::open(options.lora);
}

const io::Checkpoint& WeightLoader::open(const std::filesystem::path& path) {
  return adopt(io::Checkpoint::open(path));
}

const io::Checkpoint& WeightLoader::adopt(io::Checkpoint checkpoint) {
  io::Checkpoint& opened = *checkpoints_.emplace_back(std::make_unique<io::Checkpoint>(std::move(checkpoint)));
  const std::vector<std::string> parts = packed_.add(opened);
  for (const std::string& part : parts) ignore(opened, part);
  const auto method = parts.empty() ? quantisation_in(opened) : std::nullopt;
  if (method) fail_quantised(opened.path().string(), *method);
  if (!lora_ || checkpoints_.size() > 1) return opened;
  lora_->put_whole(opened, ties_);
  for (const std::string& name : opened.names()) plain_names_[plain_name(name)] = name;
  return opened;
}

const io::Checkpoint& WeightLoader::adopt(io::Checkpoint checkpoint, std::vector<PackedWeight> packed) {
  for (PackedWeight& weight : packed) {
    const io::TensorView& view = checkpoint.at(weight.name);
    packed_.put(view, std::move(weight));
  }
  return adopt(std::move(checkpoint));
}

/// The name under which a checkpoint has what the layout calls `name`: a base model under LoRA may lack the names that
/// training gave it ("decoder_layer.").
std::string WeightLoader::held_name(const io::Checkpoint& checkpoint, const std::string& name) const {
  if (!lora_ || &checkpoint != checkpoints_.front().get() || checkpoint.contains(name)) return name;
  const auto found = plain_names_.find(plain_name(name));
  return found == plain_names_.end() ? name : found->second;
}

void WeightLoader::take(const io::Checkpoint& checkpoint, const std::string& name, const WeightSlot& slot) {
  const std::string in_file = held_name(checkpoint, name);
  const io::TensorView* view = checkpoint.find(in_file);
  if (!view) {
    missing_.push_back(name);
    return;
  }
  taken_[&checkpoint].insert(in_file);
  origins_[slot.name] = {checkpoint.path(), name, in_file};
  if (claim({slot.name, name, view, slot.place, slot.shape, slot.matrix}) && lora_ && slot.linear) add_low_rank(slot);
}

bool WeightLoader::claim(Claim claim) {
  const io::TensorView& view = *claim.view;
  const std::string& name = claim.name;
  if (!fits(view.shape, claim.shape)) {
    const bool is_factor = claim.slot.kind == Kind::factor_a || claim.slot.kind == Kind::factor_b;
    (is_factor ? misshapen_factors_ : misshapen_)
        .push_back(concat(name, " file ", io::text_of(view.shape), ", model ", io::text_of(claim.shape)));
    return false;
  }
  claim.packed = packed_.find(view);
  if (!claim.packed && !float_type(view.dtype)) {
    misshapen_.push_back(concat(name, " file ", io::name_of(view.dtype), ", model F32, F16 or BF16"));
    return false;
  }
  claims_.push_back(std::move(claim));
  return true;
}

void WeightLoader::add_low_rank(const WeightSlot& slot) {
  const auto found = lora_->pairs().find(text_of(slot.name));
  if (found == lora_->pairs().end()) return;
  const LoraFolder::Pair& pair = found->second;
  added_.insert(found->first);
  Addition& addition = additions_.emplace_back(Addition{slot.linear, {{}, {}, pair.scale}});
  claim({slot.name.with(Kind::factor_a),
         pair.module + ".lora_A.weight",
         pair.a,
         &addition.low_rank.a,
         {pair.rank, slot.shape[1]},
         true});
  claim({slot.name.with(Kind::factor_b),
         pair.module + ".lora_B.weight",
         pair.b,
         &addition.low_rank.b,
         {slot.shape[0], pair.rank},
         true});
}

void WeightLoader::ignore(const io::Checkpoint& checkpoint, const std::string& name) {
  ignored_[&checkpoint].insert(name);
}

bool WeightLoader::is_ignored(const io::Checkpoint& checkpoint, const std::string& name) const {
  const auto found = ignored_.find(&checkpoint);
  return found != ignored_.end() && found->second.holds(name);
}

void WeightLoader::refuse_others(const io::Checkpoint& checkpoint) {
  const std::set<std::string>& taken = taken_[&checkpoint];
  for (const std::string& name : checkpoint.names()) {
    if (!taken.contains(name) && !is_useless(name) && !is_ignored(checkpoint, name)) unexpected_.push_back(name);
  }
}

void WeightLoader::check() const {
  if (missing_.empty() && unexpected_.empty() && misshapen_.empty()) return check_low_rank();
  std::string where;
  for (const auto& checkpoint : checkpoints_) where += (where.empty() ? "" : " and ") + checkpoint->path().string();
  if (lora_) where += " and " + lora_->path().string();
  const bool described = is_there(checkpoints_.front()->path() / "config.json");
  fail(Fault::bad_file, where, ": the weights do not fit ", described ? "config.json" : "the model", ": ",
       part("missing", missing_), "; ", part("unexpected", unexpected_), "; ", part("misshapen", misshapen_));
}

/// Every pair of factors must have found its product and fit it. PEFT adapts every layer that a name fits, also those
/// that LLaVA does not run: their weights are ignored, and so is their LoRA.
void WeightLoader::check_low_rank() const {
  if (!lora_) return;
  const std::string other =
      "; the adapter was trained over another model than " + checkpoints_.front()->path().string();
  require(misshapen_factors_.empty(), Fault::bad_file, lora_->path().string(),
          ": its factors do not fit the model: ", part("misshapen", misshapen_factors_), other);
  if (added_.size() == lora_->pairs().size()) return;
  const std::set<std::string> not_run = this->not_run();
  std::vector<std::string> unknown;
  for (const auto& [plain, pair] : lora_->pairs())
    if (!added_.contains(plain) && !not_run.contains(plain)) unknown.push_back(pair.module);
  require(unknown.empty(), Fault::bad_file, lora_->path().string(),
          ": adapts layers that the model does not have: ", part("modules", unknown), other);
}

std::set<std::string> WeightLoader::not_run() const {
  std::set<std::string> names;
  for (const auto& checkpoint : checkpoints_) {
    for (const std::string& name : checkpoint->names())
      if (is_ignored(*checkpoint, name)) names.insert(plain_name(name));
  }
  return names;
}

std::optional<LoraUse> WeightLoader::lora_use() const {
  if (!lora_) return std::nullopt;
  LoraUse use{.folder = lora_->path(), .whole = lora_->whole()};
  for (const Addition& addition : additions_) {
    const int64_t rank = addition.low_rank.rank();
    use.lowest_rank = use.products == 0 ? rank : std::min(use.lowest_rank, rank);
    use.highest_rank = std::max(use.highest_rank, rank);
    ++use.products;
  }
  return use;
}

namespace {

/// Throws Error{bad_request} if numbers that the file has became infinite.
void require_held(const at::Tensor& held, const at::Tensor& mapped, const std::string& name) {
  const auto largest = [](const at::Tensor& tensor) {
    const auto [low, high] = at::aminmax(tensor);
    return std::max(-low.item<double>(), high.item<double>());
  };
  if (held.numel() == 0 || !std::isinf(largest(held))) return;
  const double in_file = largest(mapped);
  require(std::isinf(in_file), Fault::bad_request, "the weight ", in_quotes(name), " reaches ", in_file,
          ", which float16 cannot hold; use --weights bfloat16 or float32");
}

}  // namespace

/// A leaf in memory of its own, never the file's.
at::Tensor WeightLoader::learning(const at::Tensor& mapped, const Claim& claim) const {
  const at::Device device(options_.device);
  const at::Tensor copy = at::empty(claim.shape, at::TensorOptions(at::kFloat).device(device)).copy_(mapped);
  io::need_no_more(claim.view->bytes);
  return copy.set_requires_grad(true);
}

at::Tensor held_as(WeightStorage storage, const at::Tensor& numbers, bool matrix, const std::string& name) {
  const at::Tensor held = numbers.to(held_type(storage, matrix, numbers.scalar_type()));
  if (held.scalar_type() == at::kHalf && numbers.scalar_type() != at::kHalf) require_held(held, numbers, name);
  return held;
}

/// In the type and on the device that the options ask for; the same memory if `numbers` are there already.
at::Tensor WeightLoader::converted(const at::Tensor& numbers, const Claim& claim) const {
  const at::Tensor held = held_as(options_.weights, numbers, claim.matrix, claim.name);
  return options_.device == "cpu" ? held : held.to(at::Device(options_.device));
}

at::Tensor WeightLoader::held(const Claim& claim) const {
  const at::Tensor mapped = tensor_over(*claim.view).view(claim.shape);
  if (learns(claim)) return learning(mapped, claim);
  const at::Tensor held = converted(mapped, claim);
  // A copy was made: the file's pages need not stay in memory beside it.
  if (held.data_ptr() != mapped.data_ptr()) io::need_no_more(claim.view->bytes);
  return held;
}

std::optional<Codes> WeightLoader::codes_of(const Claim& claim) const {
  if (learns(claim)) return std::nullopt;
  return codes_for(claim.slot, claim.shape, options_.weights);
}

nn::Weight WeightLoader::coded(const Claim& claim, const Codes& codes) const {
  require_cpu_for_codes(options_.device);
  const at::Tensor mapped = tensor_over(*claim.view).view(claim.shape);
  nn::Weight weight(ops::quantised(mapped, codes.kind, codes.group));
  io::need_no_more(claim.view->bytes);
  return weight;
}

/// Codes of the file stay what they are, unless a type of floating point is asked for.
void WeightLoader::fill_packed(const Claim& claim) const {
  const PackedWeight& packed = *claim.packed;
  require(!learns(claim), Fault::bad_request, "the weight ", in_quotes(claim.name),
          " is to learn, but the file holds it as codes; tune adapters or LoRA over it, or tune the original model and "
          "quantize the result");
  const WeightStorage storage = options_.weights;
  const bool as_codes = storage == WeightStorage::as_in_file || is_codes(storage);
  if (as_codes && takes_codes(claim.slot)) {
    require_cpu_for_codes(options_.device);
    require(packed.order.empty(), Fault::bad_request, "the weight ", in_quotes(claim.name), " is stored as codes that ",
            "are grouped by activation order (desc_act), which are read with --weights float32 (exact), bfloat16 or "
            "float16 only");
    const nn::Weight weight(packed.codes());
    if (weight.address() != claim.view->bytes.data()) io::need_no_more(claim.view->bytes);
    return put(claim.place, weight);
  }
  put(claim.place, converted(widened(packed), claim));
  io::need_no_more(claim.view->bytes);
}

void WeightLoader::fill(const Claim& claim) const {
  if (claim.packed) return fill_packed(claim);
  if (const std::optional<Codes> codes = codes_of(claim)) return put(claim.place, coded(claim, *codes));
  put(claim.place, held(claim));
}

Loaded WeightLoader::load() {
  check();
  Loaded loaded;
  int64_t total = 0, done = 0;
  for (const Claim& claim : claims_) total += static_cast<int64_t>(claim.view->bytes.size());
  if (options_.progress) options_.progress(0, total);
  for (const Claim& claim : claims_) {
    fill(claim);
    loaded.bytes += held_at(claim.place).bytes();
    done += static_cast<int64_t>(claim.view->bytes.size());
    if (options_.progress) options_.progress(done, total);
  }
  loaded.asked = options_.weights;
  loaded.not_run = not_run();
  loaded.lora = lora_use();
  loaded.origins = std::move(origins_);
  for (Addition& addition : additions_) addition.linear->low_rank = std::move(addition.low_rank);
  return loaded;
}

}  // namespace lithe::models

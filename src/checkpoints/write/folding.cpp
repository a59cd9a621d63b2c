#include "checkpoints/write/folding.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/llava_eas.h"
#include "checkpoints/read/lora.h"
#include "checkpoints/read/tied_head.h"
#include "checkpoints/read/weights.h"
#include "checkpoints/write/folded_weights.h"
#include "io/atomic_file.h"
#include "io/checkpoint.h"
#include "io/hub_cache.h"
#include "io/new_folder.h"
#include "io/safetensors.h"
#include "plan/parse.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

io::Dtype dtype_of(at::ScalarType type) {
  if (type == at::kBFloat16) return io::Dtype::bfloat16;
  return type == at::kHalf ? io::Dtype::float16 : io::Dtype::float32;
}

/// One checkpoint of a folded model: which of the old tensors go, and what takes their places.
class FoldedFile {
 public:
  FoldedFile(const Model& model, const FoldedWeights& weights, const fs::path& checkpoint)
      : weights_(weights), checkpoint_(io::Checkpoint::open(checkpoint)) {
    if (model.loaded.lora && checkpoint == model.folder) {
      const Json config = read_json_file(model.config_file, 16 << 20);
      const bool ties = asks_for_tied_head(JsonView(config, model.config_file.string()));
      LoraFolder::open(model.loaded.lora->folder).put_whole(checkpoint_, ties);
    }
    std::map<std::string, WeightName> slots;  // by name in the file
    for (const auto& [slot, origin] : model.loaded.origins) {
      if (origin.checkpoint == checkpoint) slots[origin.in_file] = slot;
    }
    for (const std::string& name : checkpoint_.names()) {
      const auto slot = slots.find(name);
      if (slot == slots.end()) {
        copy(name, name);
      } else if (weights.drops(slot->second)) {
        continue;
      } else if (weights.made().contains(slot->second)) {
        make(model.loaded.origins.at(slot->second).name, slot->second, &checkpoint_.at(name));
      } else {
        copy(name, model.loaded.origins.at(slot->second).name);
      }
    }
    add_new(model, checkpoint);
  }

  bool changes() const { return !made_.empty(); }

  /// Returns by how much rounding to 16 bits moved a weight at most, relative to the largest of its product.
  double write(const fs::path& file) const {
    io::SafetensorsWriter writer(file, entries_, {{"format", "pt"}});
    for (const auto& [name, in_file] : copied_) writer.put(name, checkpoint_.at(in_file).bytes);
    double rounding = 0;
    for (const Made& made : made_) {
      const Tensor exact = made.weight->make();
      const Tensor held = rounded(exact, made, rounding);
      writer.put(made.name, {static_cast<const std::byte*>(held.const_data_ptr()), static_cast<size_t>(held.nbytes())});
    }
    writer.commit();
    return rounding;
  }

 private:
  struct Made {
    std::string name;  ///< In the new file.
    const MadeWeight* weight;
    const io::TensorView* old;  ///< Null for what is new.
  };

  void copy(const std::string& in_file, const std::string& name) {
    const io::TensorView& view = checkpoint_.at(in_file);
    entries_.push_back({name, view.dtype, view.shape});
    copied_.emplace_back(name, in_file);
  }

  void make(const std::string& name, const WeightName& slot, const io::TensorView* old) {
    const MadeWeight& weight = weights_.made().at(slot);
    entries_.push_back({name, dtype_of(weight.type), old ? old->shape : weight.shape});
    made_.push_back({name, &weight, old});
  }

  /// Biases of products that had none are written beside their weights, under the same names.
  void add_new(const Model& model, const fs::path& checkpoint) {
    for (const auto& [slot, weight] : weights_.made()) {
      if (model.loaded.origins.contains(slot)) continue;
      const WeightOrigin& beside = model.loaded.origins.at(slot.with(Kind::weight));
      if (beside.checkpoint == checkpoint) make(beside.name.substr(0, beside.name.rfind('.')) + ".bias", slot, nullptr);
    }
  }

  static Tensor rounded(const Tensor& exact, const Made& made, double& rounding) {
    const double largest = exact.abs().max().item<double>();
    require(std::isfinite(largest), Fault::bad_file, "the weight ", in_quotes(made.name),
            " holds numbers that are not finite, in the model or in what is folded into it");
    Tensor held = exact.to(made.weight->type).contiguous();
    if (made.weight->type != at::kFloat) {
      const double moved = (held.to(at::kDouble) - exact).abs().max().item<double>();
      require(std::isfinite(moved), Fault::bad_request, "the folded weight ", in_quotes(made.name), " reaches ",
              largest, ", which float16 cannot hold; fold with --weights bfloat16 or float32");
      if (largest > 0) rounding = std::max(rounding, moved / largest);
    }
    if (!made.old || made.old->count() == held.numel()) return held;
    // A head may have rows after those that the model reads.
    const Tensor old = tensor_over(*made.old);
    return at::cat({held, old.narrow(0, held.size(0), old.size(0) - held.size(0)).to(held)}).contiguous();
  }

  const FoldedWeights& weights_;
  io::Checkpoint checkpoint_;
  std::vector<io::SafetensorsWriter::Entry> entries_;
  std::vector<std::pair<std::string, std::string>> copied_;
  std::vector<Made> made_;
};

/// config.json of the folded folder.
Json folded_config(const Model& model, const std::vector<int64_t>& lost, bool is_frozen) {
  Json config = read_json_file(model.config_file, 16 << 20);
  std::vector<plan::FixedSite> sites = model.facts.fixed;
  for (const int64_t layer : lost) sites.push_back({{"decoder", layer}, "self"});
  std::sort(sites.begin(), sites.end(), [](const auto& a, const auto& b) { return a.site < b.site; });
  if (!sites.empty()) config[kFixedSites] = Json::array();
  for (const auto& [site, attention] : sites) {
    config[kFixedSites].push_back({{"stream", site.stream}, {"layer", site.layer}, {"attention", attention}});
  }
  // The conversation follows from the folder's name, which is another one now.
  if (!model.prompting.conversation.empty()) config["conversation"] = model.prompting.conversation;
  if (!model.tower_folder.empty()) config["mm_vision_tower"] = io::name_of_folder(model.tower_folder);
  if (!model.decoder.config.tied_embeddings && asks_for_tied_head(JsonView(config, model.config_file.string()))) {
    config["tie_word_embeddings"] = false;
    if (config.contains("text_config")) config["text_config"]["tie_word_embeddings"] = false;
  }
  if (!is_frozen) return config;
  Json& decoder = config.contains("text_config") ? config["text_config"] : config;
  decoder["attention_bias"] = decoder["mlp_bias"] = true;
  if (!model.vision || model.vision->tower.config.eas.empty()) config.erase("eas");
  return config;
}

bool holds_both_anywhere(const EasLayers& eas) {
  return std::any_of(eas.begin(), eas.end(), [](const auto& entry) { return entry.second.holds_both(); });
}

/// The tower's own folder: its weights anew if something was folded into them, else as it is.  -> the rounding
double write_tower(const Model& model, const FoldedWeights& weights, const fs::path& out) {
  const FoldedFile file(model, weights, model.tower_folder);
  if (!file.changes()) {
    io::make_folder(out);
    for (const fs::directory_entry& entry : fs::directory_iterator(model.tower_folder)) {
      const fs::path name = entry.path().filename();
      if (name.string().starts_with('.')) continue;  // what a version control or a download left
      fs::copy(entry.path(), out / name, fs::copy_options::recursive | fs::copy_options::skip_existing);
    }
    return 0;
  }
  io::make_folder(out);
  io::copy_others(model.tower_folder, out, {});
  return file.write(out / "model.safetensors");
}

}  // namespace

FoldCount write_folded(const Model& model, const FrozenPrompt* frozen, const fs::path& folder) {
  require(!model.facts.adapters.empty() || model.loaded.lora, Fault::bad_request, model.name,
          ": has neither adapters nor LoRA, so there is nothing to fold");
  const FoldedWeights weights(model, frozen);
  FoldCount count = weights.count();
  count.whole = model.loaded.lora ? model.loaded.lora->whole : 0;
  require(count.gains + count.adapters + count.low_rank + count.whole > 0, Fault::bad_request, model.name,
          ": everything that every request shares is folded already");
  try {
    io::make_folder(folder);
    io::copy_others(model.folder, folder, {"config.json"});
    const bool is_frozen = frozen != nullptr && !model.decoder.config.eas.empty();
    io::write_json_atomic(folder / "config.json", folded_config(model, weights.lost(), is_frozen));
    if (is_frozen && holds_both_anywhere(model.decoder.config.eas))
      io::write_json_atomic(folder / "plan.json", plan::to_json(frozen->plan));
    count.rounding = FoldedFile(model, weights, model.folder).write(folder / "model.safetensors");
    if (!model.tower_folder.empty()) {
      const double of_tower = write_tower(model, weights, folder / io::name_of_folder(model.tower_folder));
      count.rounding = std::max(count.rounding, of_tower);
    }
  } catch (const fs::filesystem_error& error) {
    fail(Fault::bad_file, folder.string(), ": the folder cannot be written: ", error.code().message());
  }
  return count;
}

}  // namespace lithe::models

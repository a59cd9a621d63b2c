#include "checkpoints/write/folding.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/error.h"
#include "checkpoints/read/llava_eas.h"
#include "checkpoints/read/lora.h"
#include "checkpoints/read/packed_weights.h"
#include "checkpoints/read/tied_head.h"
#include "checkpoints/write/changed_folder.h"
#include "checkpoints/write/folded_weights.h"
#include "io/atomic_file.h"
#include "io/checkpoint.h"
#include "io/hub_cache.h"
#include "io/new_folder.h"
#include "plan/parse.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

constexpr WeightFile::Refusals kFoldingRefusals{", in the model or in what is folded into it",
                                                "; fold with --weights bfloat16 or float32"};

io::Checkpoint opened(const Model& model, const fs::path& folder) {
  if (folder != model.folder) return io::Checkpoint::open(folder);
  io::Checkpoint checkpoint = own_checkpoint(model);
  if (!model.loaded.lora) return checkpoint;
  const Json config = read_config_file(model.config_file);
  const bool ties = asks_for_tied_head(JsonView(config, model.config_file.string()));
  LoraFolder::open(model.loaded.lora->folder).put_whole(checkpoint, ties);
  return checkpoint;
}

/// One checkpoint of a folded model.
WeightFile folded_file(const Model& model, const FoldedWeights& weights, const io::Checkpoint& checkpoint) {
  WeightFile file(kFoldingRefusals);
  const ChangedWeights changes{weights.made(), [&](const WeightName& name) { return weights.drops(name); },
                               [&](const std::string& in_file, const WeightName* weight) -> std::optional<std::string> {
                                 return weight ? model.loaded.origins.at(*weight).name : in_file;
                               }};
  list_changed(model, checkpoint, changes, file);
  // Biases of products that had none are beside their weights, under the same names.
  for (const auto& [name, weight] : weights.made()) {
    if (model.loaded.origins.contains(name)) continue;
    const WeightOrigin& beside = model.loaded.origins.at(name.with(Kind::weight));
    if (beside.checkpoint == checkpoint.path())
      file.make(beside.name.substr(0, beside.name.rfind('.')) + ".bias", weight);
  }
  return file;
}

/// config.json of the folded folder.
Json folded_config(const Model& model, const std::vector<int64_t>& lost, bool is_frozen) {
  Json config = pinned_config(model);
  std::vector<plan::FixedSite> sites = model.facts.fixed;
  for (const int64_t layer : lost) sites.push_back({{"decoder", layer}, "self"});
  std::sort(sites.begin(), sites.end(), [](const auto& a, const auto& b) { return a.site < b.site; });
  if (!sites.empty()) config[kFixedSites] = Json::array();
  for (const auto& [site, attention] : sites) {
    config[kFixedSites].push_back({{"stream", site.stream}, {"layer", site.layer}, {"attention", attention}});
  }
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

/// What a LoRA folder says of the plan: the base model's folder, which is copied, does not know it.
bool lora_has_plan(const Model& model) {
  return model.loaded.lora && fs::exists(fs::path(model.loaded.lora->folder) / "plan.json");
}

bool holds_both_anywhere(const EasLayers& eas) {
  return std::any_of(eas.begin(), eas.end(), [](const auto& entry) { return entry.second.holds_both(); });
}

}  // namespace

void require_unrounded(const nn::Weight& weight, const std::string& model) {
  require(!weight.has_codes(), Fault::bad_request, model,
          ": weights that are held as int8 or int4 are rounded, and fold would write the rounding; use --weights auto");
}

void require_plain_files(const Model& model) {
  const auto is_plain = [](const io::Checkpoint& checkpoint) { return !holds_packed(checkpoint); };
  const bool tower = model.tower_folder.empty() || is_plain(io::Checkpoint::open(model.tower_folder));
  require(tower && is_plain(own_checkpoint(model)), Fault::bad_request, model.name,
          ": its weights are stored as codes, which fold would round again; fold the original model, then quantize the "
          "result");
}

FoldCount write_folded(const Model& model, const FrozenPrompt* frozen, const fs::path& folder) {
  require(!model.facts.adapters.empty() || model.loaded.lora, Fault::bad_request, model.name,
          ": has neither adapters nor LoRA, so there is nothing to fold");
  const FoldedWeights weights(model, frozen);
  FoldCount count = weights.count();
  count.whole = model.loaded.lora ? model.loaded.lora->whole : 0;
  require(
      count.gains + count.adapters + count.low_rank + count.whole > 0, Fault::bad_request, model.name,
      ": every adapter depends on the prompt, so nothing can be folded for all requests; give --freeze to fold with "
      "the gates and means of one prompt");
  try {
    io::make_folder(folder);
    copy_files(model, folder, {"config.json"});
    const bool is_frozen = frozen != nullptr && !model.decoder.config.eas.empty();
    io::write_json_atomic(folder / "config.json", folded_config(model, weights.lost(), is_frozen));
    if (is_frozen && holds_both_anywhere(model.decoder.config.eas))
      io::write_json_atomic(folder / "plan.json", plan::to_json(frozen->plan));
    else if (lora_has_plan(model))
      io::write_json_atomic(folder / "plan.json", plan::to_json(model.plan));
    const io::Checkpoint own = opened(model, model.folder);
    count.rounding = folded_file(model, weights, own).write(folder / "model.safetensors");
    if (!model.tower_folder.empty()) {
      const io::Checkpoint tower = opened(model, model.tower_folder);
      const double of_tower = write_tower_folder(model, folded_file(model, weights, tower),
                                                 folder / io::name_of_folder(model.tower_folder));
      count.rounding = std::max(count.rounding, of_tower);
    }
  } catch (const fs::filesystem_error& error) {
    fail(Fault::bad_file, folder.string(), ": the folder cannot be written: ", error.code().message());
  }
  return count;
}

}  // namespace lithe::models

#include "models/facts.h"

#include <algorithm>

#include "models/counting.h"

namespace lithe::models {
namespace {

constexpr auto kToFacts = [](const char*, const int64_t& config, int64_t& facts) { facts = config; };

void add_eas(const std::string& stream, const EasLayers& eas, plan::ModelFacts& facts) {
  for (const auto& [layer, made] : eas) {
    if (!made.attention) facts.fixed.push_back({{stream, layer}, "self"});
    if (made.adapter) facts.adapters.push_back({{stream, layer}, false, made.adapter->rank, made.adapter->groups});
    if (made.pia) facts.adapters.push_back({{stream, layer}, true, made.pia->rank, made.pia->groups});
  }
}

}  // namespace

plan::ModelFacts facts_of(const Model& model) {
  const DecoderConfig& decoder = model.decoder.config;
  plan::ModelFacts facts;
  facts.name = model.name;
  decoder_facts(decoder, facts, kToFacts);
  for (const int64_t layer : decoder.routers) facts.routers.push_back({"decoder", layer});
  add_eas("decoder", decoder.eas, facts);
  facts.parameters = count_parameters(model);
  facts.low_rank = low_rank_facts(model);
  if (!model.vision) return facts;
  const VisionTowerConfig& tower = model.vision->tower.config;
  facts.projector.widths = model.vision->projector.widths;
  plan::TowerFacts& seen = facts.tower.emplace();
  tower_facts(tower, seen, kToFacts);
  seen.tokens = tower.rows();
  seen.patches = tower.patches();
  if (tower.class_tokens_every > 0) seen.outputs = tower.tokens();
  seen.image = std::max(tower.image.width, tower.image.height);
  add_eas("vision_tower", tower.eas, facts);
  if (model.vision->preprocess.aspect != image::Aspect::anyres) return facts;
  for (const image::Size& size : model.vision->preprocess.pinpoints) {
    const int64_t tiles = 1 + (size.width / tower.image.width) * (size.height / tower.image.height);
    seen.max_tiles = std::max(seen.max_tiles, tiles);
  }
  if (const auto most = model.vision->packing.max_patches) seen.kept_tiles = std::min(seen.max_tiles, 1 + *most);
  return facts;
}

}  // namespace lithe::models

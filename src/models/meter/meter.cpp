#include "models/meter/meter.h"

#include "base/error.h"
#include "models/facts.h"
#include "models/meter/pixels.h"
#include "models/parts/weight_slots.h"

namespace lithe::models {
namespace {

void add_adapters(const std::string& stream, const StreamsConfig& streams, plan::ModelFacts& facts) {
  for (int64_t layer = 0; layer < streams.layers; ++layer) {
    if (streams.layer.rep)
      facts.adapters.push_back({{stream, layer}, false, streams.layer.rep->rank, streams.layer.rep->groups});
    if (streams.layer.pia)
      facts.adapters.push_back({{stream, layer}, true, streams.layer.pia->rank, streams.layer.pia->groups});
  }
}

}  // namespace

TextIds Meter::encode(const std::string& text) const {
  require(tokenizer.has_value(), Fault::bad_request, name,
          ": has no tokenizer; copy RoBERTa's tokenizer.json beside its weights");
  return fitted(tokenizer->encode(text, true));
}

TextIds Meter::fitted(std::vector<int64_t> ids) const {
  if (static_cast<int64_t>(ids.size()) > config.max_text) {
    const int64_t end = ids.back();  // the mark of the end stays
    ids.resize(static_cast<size_t>(config.max_text));
    ids.back() = end;
  }
  TextIds text{std::move(ids)};
  if (!config.pads) return text;
  text.padding = config.max_text - static_cast<int64_t>(text.ids.size());
  text.ids.resize(static_cast<size_t>(config.max_text), text_encoder.config.pad_id);
  return text;
}

image::PixelValues Meter::pixel_values(const image::Image& picture) const {
  return meter_pixel_values(picture, tower.config.image.width);
}

TextRows Meter::read(std::span<const TextIds> texts) const {
  return streams.enter(text_encoder.forward(texts));
}

Tensor Meter::look(const Tensor& pixels) const {
  const Tensor features = tower.features(pixels, &plan);
  const Tensor normed = tower_norm(features.flatten(0, 1));
  return streams.enter(normed.view(features.sizes()));
}

FusedRows Meter::fuse(const TextRows& texts, const Tensor& images, std::span<const Pair> pairs, const plan::Plan* other,
                      const StreamObserver& observer) const {
  return streams.fuse(texts, images, pairs, other ? other : &plan, observer);
}

void visit(Meter& meter, const WeightVisitor& visitor) {
  visit(meter.text_encoder, visitor);
  visit(meter.tower, visitor);
  visit({.part = Part::tower, .role = Role::last_norm}, meter.tower_norm, meter.tower.config.width, visitor);
  visit(meter.streams, visitor);
  visit(meter.heads, visitor);
}

plan::ModelFacts facts_of(const Meter& meter) {
  plan::ModelFacts facts;
  facts.name = meter.name;
  const StreamsConfig& streams = meter.streams.config;
  facts.streams["text"] = facts.streams["image"] = {streams.layers, true};
  const VisionTowerConfig& tower = meter.tower.config;
  plan::TowerFacts& seen = facts.tower.emplace();
  tower_facts(tower, seen, [](const char*, const int64_t& config, int64_t& fact) { fact = config; });
  seen.tokens = tower.rows();
  seen.patches = tower.patches();
  seen.image = tower.image.width;
  add_adapters("text", streams, facts);
  add_adapters("image", streams, facts);
  return facts;
}

}  // namespace lithe::models

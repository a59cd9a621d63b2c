#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <cmath>

#include "base/error.h"
#include "models/facts.h"
#include "models/known_towers.h"
#include "models/low_bit_weights.h"
#include "models/parts/noise.h"
#include "ops/low_bit.h"
#include "plan/parse.h"
#include "plan/rows.h"
#include "plan/validate.h"

namespace lithe::models {
namespace {

at::ScalarType type_of(WeightStorage storage) {
  if (storage == WeightStorage::bfloat16) return at::kBFloat16;
  if (storage == WeightStorage::float16) return at::kHalf;
  return at::kFloat;
}

/// Fills every weight of a model's parts so that rows keep about the size that they have.
class RandomWeights {
 public:
  RandomWeights(WeightStorage storage, uint64_t seed, const std::string& device)
      : storage_(storage), seed_(seed), device_(device) {}

  void operator()(const WeightSlot& slot) {
    const Tensor values = slot.matrix || is_router(slot.name) ? noisy(slot) : plain(slot);
    if (const std::optional<Codes> codes = codes_for(slot.name, slot.shape, storage_))
      put(slot.place, nn::Weight(ops::quantised(values, codes->kind, codes->group)));
    else
      put(slot.place, values.to(device_));
    bytes_ += held_at(slot.place).bytes();
  }

  int64_t bytes() const { return bytes_; }

 private:
  static bool is_router(const WeightName& name) { return name.role == Role::router && name.kind == Kind::weight; }

  Tensor noisy(const WeightSlot& slot) {
    const int64_t out = slot.shape.front();
    Tensor tensor = at::empty(slot.shape, slot.matrix ? type_of(storage_) : at::kFloat);
    const float bound = std::sqrt(3.0f * static_cast<float>(out) / static_cast<float>(tensor.numel()));
    seed_ += kNextSeed;
    fill_with_noise(tensor, bound, seed_);
    return tensor;
  }

  /// Gains are 1, biases and embeddings of positions and classes 0.
  static Tensor plain(const WeightSlot& slot) {
    const bool is_gain = is_norm(slot.name.role) && slot.name.kind == Kind::weight;
    return at::full(slot.shape, is_gain ? 1.0 : 0.0, at::kFloat);
  }

  WeightStorage storage_;
  uint64_t seed_;
  at::Device device_;
  int64_t bytes_ = 0;
};

constexpr auto kFromFacts = [](const char*, int64_t& config, const int64_t& facts) { config = facts; };

DecoderConfig decoder_of(const plan::ModelFacts& facts, int64_t layers) {
  DecoderConfig config{.max_positions = 4096};
  decoder_facts(config, facts, kFromFacts);
  config.layers = layers;
  config.rope.head_dim = facts.head_dim;
  for (int64_t layer = 0; layer < layers; ++layer) config.routers.push_back(layer);
  return config;
}

VisionTowerConfig tower_of(const plan::TowerFacts& facts, int64_t layers) {
  VisionTowerConfig config{.image = {facts.image, facts.image}};
  tower_facts(config, facts, kFromFacts);
  config.layers = config.layers_run = layers;
  return config;
}

/// p-MoD's published plan for the whole depth, of which a shallower model takes evenly spaced layers.
plan::Plan sampled_plan(const plan::ModelFacts& whole, int64_t layers) {
  const plan::Plan full = plan::load_plan("p-mod", whole);
  const std::vector<int64_t> depths = plan::spread_rows(whole.layers, layers);
  plan::Plan sampled{.name = full.name};
  for (int64_t layer = 0; layer < layers; ++layer) {
    const plan::LayerPlan* entry = full.find("decoder", depths[static_cast<size_t>(layer)]);
    if (!entry) continue;
    sampled.layers.push_back(*entry);
    sampled.layers.back().layer = layer;
  }
  return sampled;
}

void set_preprocessing(Model& model, const plan::TowerFacts& tower) {
  const KnownTower* known = known_tower("clip-vit-large-patch14-336");
  const Json json = parse_json(known->preprocessing, known->name);
  model.vision->preprocess = image::PreprocessConfig::from_json(JsonView(json, known->name), image::Dialect::original);
  model.vision->preprocess.aspect = image::Aspect::pad;
  if (tower.max_tiles == 1) return;
  const int64_t side = tower.image;
  model.vision->preprocess.aspect = image::Aspect::anyres;
  model.vision->preprocess.pinpoints = {
      {side, 2 * side}, {2 * side, side}, {2 * side, 2 * side}, {3 * side, side}, {side, 3 * side}};
  model.vision->packing.order = Packing::Order::spatial_unpad;
  model.vision->newline = at::full({model.decoder.config.hidden}, 0.01, model.decoder.norm.gain.options());
}

}  // namespace

std::unique_ptr<Model> random_model(const std::string& shape, int64_t layers, int64_t tower_layers,
                                    WeightStorage weights, uint64_t seed, const std::string& device) {
  if (is_codes(weights)) require_cpu_for_codes(device);
  const plan::ModelFacts whole = plan::shape_named(shape);
  require(!whole.tower->outputs, Fault::bad_request, shape,
          ": this shape is for counting only (lithe inspect --shape); random models are of LLaVA's shapes");
  require(layers >= 1 && layers <= whole.layers, Fault::bad_request, shape, ": ", layers,
          " decoder layers asked for, it has 1 to ", whole.layers);
  require(tower_layers >= 1 && tower_layers <= whole.tower->layers, Fault::bad_request, shape, ": ", tower_layers,
          " tower layers asked for, it has 1 to ", whole.tower->layers);
  auto model = std::make_unique<Model>();
  model->name = shape;
  model->family = "random";
  model->decoder = shaped_decoder(decoder_of(whole, layers));
  Vision& vision = model->vision.emplace();
  vision.tower = shaped_tower(tower_of(*whole.tower, tower_layers));
  vision.projector = shaped_projector(whole.projector.widths, true, ops::Activation::gelu);
  RandomWeights fill(weights, seed, device);
  visit(*model, std::ref(fill));
  tie(model->decoder);
  set_preprocessing(*model, *whole.tower);
  model->loaded.bytes = fill.bytes();
  model->facts = facts_of(*model);
  model->plan = sampled_plan(whole, layers);
  plan::validate(model->plan, model->facts);
  return model;
}

}  // namespace lithe::models

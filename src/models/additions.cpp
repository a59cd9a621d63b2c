#include "models/additions.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "models/facts.h"
#include "models/parts/noise.h"

namespace lithe::models {
namespace {

/// The layers that are chosen, in order. Throws Error{bad_request} for those that do not exist.
std::set<int64_t> chosen_layers(const Model& model, const LayerChoice& choice, const char* what) {
  const int64_t count = model.decoder.config.layers;
  std::set<int64_t> layers;
  for (int64_t layer = 0; !choice && layer < count; ++layer) layers.insert(layer);
  for (const int64_t layer : choice.value_or(std::vector<int64_t>())) {
    require(layer >= 0 && layer < count, Fault::bad_request, model.name, ": layer ", layer, " is to get ", what,
            ", but the decoder has layers 0 to ", count - 1);
    layers.insert(layer);
  }
  return layers;
}

void check_sizes(const Model& model, const NewAdapters& wanted) {
  const int64_t groups = wanted.groups;
  const auto fits = [&](int64_t width) { return groups > 0 && width % groups == 0; };
  require(fits(model.decoder.config.hidden) && (!wanted.tower || fits(model.seeing().tower.config.width)),
          Fault::bad_request, model.name, ": adapters are to have ", groups,
          " groups, which must divide the width of the rows");
  for (const int64_t rank : {wanted.rep_rank, wanted.pia_rank}) {
    require(rank > 0 && rank <= plan::kMaxWidth && rank % groups == 0, Fault::bad_request, model.name,
            ": an adapter is to have rank ", rank, ", expected a multiple of the ", groups, " groups");
  }
  const auto positive = [](double value) { return value > 0 && std::isfinite(value); };
  require(positive(wanted.temperature) && positive(wanted.scale), Fault::bad_request, model.name,
          ": the temperature and the scale of adapters must be finite and more than 0, got ", wanted.temperature,
          " and ", wanted.scale);
}

/// LaVIN's gates have a bias, and read the modality row; with EAS they read the prompt after it.
AdapterShape shape_of(const Model& model, const NewAdapters& wanted, int64_t rank, bool router_bias, bool in_tower) {
  AdapterShape shape{rank, wanted.groups, router_bias, wanted.scale, wanted.temperature};
  if (!model.decoder.config.modality) return shape;
  const bool eas = !wanted.pias || !wanted.pias->empty();
  shape.router_bias = true;
  shape.gate_rows = eas ? GateRows::after_first : in_tower ? GateRows::each : GateRows::first;
  return shape;
}

/// Notes a RepAdapter of a layer. Its gate has no bias, as LLaVA-EAS publishes it.
void want_rep(const Model& model, const NewAdapters& wanted, int64_t layer, const char* stream, EasLayers& eas) {
  EasLayer& made = eas[layer];
  require(made.attention && !made.adapter, Fault::bad_request, model.name, ": layer ", layer, " of the ", stream,
          " is to get a RepAdapter, but it ", made.attention ? "has one already" : "has no attention");
  made.adapter = shape_of(model, wanted, wanted.rep_rank, false, std::string_view(stream) == "vision tower");
}

void want_pia(const Model& model, const NewAdapters& wanted, int64_t layer, EasLayers& eas) {
  EasLayer& made = eas[layer];
  require(made.attention && !made.pia, Fault::bad_request, model.name, ": layer ", layer,
          " of the decoder is to get a PIA, but it ", made.attention ? "has one already" : "has no attention");
  made.pia = shape_of(model, wanted, wanted.pia_rank, true, false);
  made.gain = true;
}

/// Gives blocks what those of a new shape have and they lack, without values.
void grow(std::vector<routing::Block>& blocks, std::vector<routing::Block> shaped) {
  for (size_t layer = 0; layer < blocks.size(); ++layer) {
    routing::Block &block = blocks[layer], &whole = shaped[layer];
    for (size_t site = 0; site < block.sites.size(); ++site) {
      if (!block.sites[site].adapter) block.sites[site].adapter = std::move(whole.sites[site].adapter);
      if (!block.sites[site].stand_in) block.sites[site].stand_in = std::move(whole.sites[site].stand_in);
    }
    if (!block.router) block.router = std::move(whole.router);
  }
}

void grow(Model& model, const DecoderConfig& config) {
  grow(model.decoder.blocks, shaped_decoder(config).blocks);
  model.decoder.config = config;
}

void grow(VisionTower& tower, const VisionTowerConfig& config) {
  grow(tower.blocks, shaped_tower(config).blocks);
  tower.config = config;
}

/// Fills what has no values yet, and ties it to the rest.
void fill_new(Model& model, const std::function<Tensor(const WeightSlot&)>& values) {
  const auto fill = [&](const WeightSlot& slot) {
    if (held_at(slot.place).defined()) return;
    const Tensor learns = values(slot).to(model.decoder.norm.gain.device()).set_requires_grad(true);
    model.loaded.bytes += static_cast<int64_t>(learns.nbytes());
    put(slot.place, learns);
  };
  visit(model.decoder, fill);
  if (model.vision) visit(model.vision->tower, fill);
  tie(model.decoder);
  model.facts = facts_of(model);
  plan::check(model.facts);
}

/// By how much a weight of an adapter may differ from 0 when training begins. LaVIN's PIAs change nothing yet either.
double bound_of(const WeightSlot& slot, bool lavin) {
  const WeightName& name = slot.name;
  if (name.kind == Kind::bias) return 0;
  const int64_t out = slot.shape.front(), in = slot.shape.back();
  if (name.role == Role::adapter_gate) return 1 / std::sqrt(static_cast<double>(in));
  const bool is_up = name.role == Role::path1 || name.role == Role::path2;
  return is_up && (lavin || name.adapter == Adapter::rep) ? 0 : std::sqrt(6.0 / static_cast<double>(in + out));
}

}  // namespace

void set_dropout(std::vector<routing::Block>& blocks, double share, uint64_t& seed) {
  for (routing::Block& block : blocks) {
    for (routing::Site& site : block.sites) {
      if (site.adapter) site.adapter->dropout = {share, seed += kNextSeed};
      if (site.pia) site.pia->dropout = {share, seed += kNextSeed};
      if (site.stand_in && site.stand_in->pia) site.stand_in->pia->dropout = {share, seed += kNextSeed};
    }
  }
}

void add_adapters(Model& model, const NewAdapters& wanted) {
  check_sizes(model, wanted);
  DecoderConfig config = model.decoder.config;
  for (const int64_t layer : chosen_layers(model, wanted.reps, "a RepAdapter"))
    want_rep(model, wanted, layer, "decoder", config.eas);
  for (const int64_t layer : chosen_layers(model, wanted.pias, "a PIA")) want_pia(model, wanted, layer, config.eas);
  if (wanted.tower) {
    VisionTowerConfig tower = model.seeing().tower.config;
    for (int64_t layer = 0; layer < tower.layers_run; ++layer)
      want_rep(model, wanted, layer, "vision tower", tower.eas);
    grow(model.vision->tower, tower);
  }
  grow(model, config);
  uint64_t seed = wanted.seed;
  fill_new(model, [&](const WeightSlot& slot) {
    Tensor values = at::empty(slot.shape, at::kFloat);
    fill_with_noise(values, static_cast<float>(bound_of(slot, config.modality)), seed += kNextSeed);
    return values;
  });
  set_dropout(model.decoder.blocks, wanted.dropout, seed);
  if (model.vision) set_dropout(model.vision->tower.blocks, wanted.dropout, seed);
}

void add_routers(Model& model, const LayerChoice& layers) {
  DecoderConfig config = model.decoder.config;
  if (config.routers.empty()) config.router_bias = true;
  for (const int64_t layer : chosen_layers(model, layers, "a router")) {
    require(!model.decoder.blocks[static_cast<size_t>(layer)].router, Fault::bad_request, model.name, ": layer ", layer,
            " is to get a router, but it has one already");
    config.routers.push_back(layer);
  }
  std::sort(config.routers.begin(), config.routers.end());
  grow(model, config);
  fill_new(model, [](const WeightSlot& slot) { return at::zeros(slot.shape, at::kFloat); });
}

}  // namespace lithe::models

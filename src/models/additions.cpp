#include "models/additions.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "base/error.h"
#include "models/facts.h"
#include "models/parts/noise.h"

namespace lithe::models {
namespace {

/// `layers` in order; every layer if there are none. Throws Error{bad_request} for those that do not exist.
std::set<int64_t> layers_of(const Model& model, const std::vector<int64_t>& layers, const char* what) {
  const int64_t count = model.decoder.config.layers;
  std::set<int64_t> wanted(layers.begin(), layers.end());
  for (const int64_t layer : wanted) {
    require(layer >= 0 && layer < count, Fault::bad_request, model.name, ": layer ", layer, " is to get ", what,
            ", but the decoder has layers 0 to ", count - 1);
  }
  for (int64_t layer = 0; layers.empty() && layer < count; ++layer) wanted.insert(layer);
  return wanted;
}

void check_sizes(const Model& model, const NewAdapters& wanted) {
  const int64_t hidden = model.decoder.config.hidden, groups = wanted.groups;
  require(groups > 0 && hidden % groups == 0, Fault::bad_request, model.name, ": adapters are to have ", groups,
          " groups, which must divide the hidden size ", hidden);
  for (const int64_t rank : {wanted.rep_rank, wanted.pia_rank}) {
    require(rank > 0 && rank <= plan::kMaxWidth && rank % groups == 0, Fault::bad_request, model.name,
            ": an adapter is to have rank ", rank, ", expected a multiple of the ", groups, " groups");
  }
  require(wanted.temperature > 0 && std::isfinite(wanted.temperature) && std::isfinite(wanted.scale),
          Fault::bad_request, model.name, ": the temperature of adapters must be more than 0, and both it and the ",
          "scale must be finite, got ", wanted.temperature, " and ", wanted.scale);
}

/// Gives the decoder what `config` has and it lacks, without values.
void grow(Decoder& decoder, const DecoderConfig& config) {
  Decoder shaped = shaped_decoder(config);
  for (size_t layer = 0; layer < decoder.blocks.size(); ++layer) {
    routing::Block &block = decoder.blocks[layer], &whole = shaped.blocks[layer];
    for (size_t site = 0; site < block.sites.size(); ++site) {
      if (!block.sites[site].adapter) block.sites[site].adapter = std::move(whole.sites[site].adapter);
      if (!block.sites[site].stand_in) block.sites[site].stand_in = std::move(whole.sites[site].stand_in);
    }
    if (!block.router) block.router = std::move(whole.router);
  }
  decoder.config = config;
}

/// Fills what has no values yet, and ties it to the rest.
void fill_new(Model& model, const std::function<Tensor(const WeightSlot&)>& values) {
  visit(model.decoder, [&](const WeightSlot& slot) {
    if (held_at(slot.place).defined()) return;
    const Tensor learns = values(slot).to(model.decoder.norm.gain.device()).set_requires_grad(true);
    model.loaded.bytes += static_cast<int64_t>(learns.nbytes());
    put(slot.place, learns);
  });
  tie(model.decoder);
  model.facts = facts_of(model);
  plan::check(model.facts);
}

/// By how much a weight of an adapter may differ from 0 when training begins.
double bound_of(const WeightSlot& slot) {
  const WeightName& name = slot.name;
  if (name.kind == Kind::bias) return 0;
  const int64_t out = slot.shape.front(), in = slot.shape.back();
  if (name.role == Role::adapter_gate) return 1 / std::sqrt(static_cast<double>(in));
  const bool is_up = name.role == Role::path1 || name.role == Role::path2;
  return is_up && name.adapter == Adapter::rep ? 0 : std::sqrt(6.0 / static_cast<double>(in + out));
}

}  // namespace

void add_adapters(Model& model, const NewAdapters& wanted) {
  check_sizes(model, wanted);
  DecoderConfig config = model.decoder.config;
  for (const int64_t layer : layers_of(model, wanted.layers, "adapters")) {
    const EasLayer old = eas_of(config.eas, layer);
    require(old.attention && !old.adapter && !old.pia, Fault::bad_request, model.name, ": layer ", layer,
            " is to get adapters, but it ", old.attention ? "has one already" : "has no attention");
    AdapterShape shape{.groups = wanted.groups, .scale = wanted.scale, .temperature = wanted.temperature};
    EasLayer& made = config.eas[layer];
    made.gain = true;
    shape.rank = wanted.rep_rank;
    made.adapter = shape;
    shape.rank = wanted.pia_rank;
    shape.router_bias = true;
    made.pia = shape;
  }
  grow(model.decoder, config);
  uint64_t seed = wanted.seed;
  fill_new(model, [&](const WeightSlot& slot) {
    Tensor values = at::empty(slot.shape, at::kFloat);
    fill_with_noise(values, static_cast<float>(bound_of(slot)), seed += kNextSeed);
    return values;
  });
}

void add_routers(Model& model, const std::vector<int64_t>& layers) {
  DecoderConfig config = model.decoder.config;
  if (config.routers.empty()) config.router_bias = true;
  for (const int64_t layer : layers_of(model, layers, "a router")) {
    require(std::find(config.routers.begin(), config.routers.end(), layer) == config.routers.end(), Fault::bad_request,
            model.name, ": layer ", layer, " is to get a router, but it has one already");
    config.routers.push_back(layer);
  }
  std::sort(config.routers.begin(), config.routers.end());
  grow(model.decoder, config);
  fill_new(model, [](const WeightSlot& slot) { return at::zeros(slot.shape, at::kFloat); });
}

}  // namespace lithe::models

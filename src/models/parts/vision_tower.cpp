#include "models/parts/vision_tower.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>

#include "base/error.h"
#include "base/mixed.h"
#include "models/parts/weight_slots.h"
#include "routing/executor.h"

namespace lithe::models {
namespace {

nn::Norm shaped_norm(const VisionTowerConfig& config) {
  return {nn::Norm::Kind::layer, Tensor(), Tensor(), config.norm_eps};
}

routing::Block shaped_block(const VisionTowerConfig& config, const EasLayer& eas) {
  using routing::Site;
  const auto product = [] { return shaped_linear(true); };
  routing::Block block;
  if (eas.attention) {
    nn::Attention attention{
        product(), product(), product(), product(), config.heads, config.heads, config.width / config.heads};
    attention.causal = attention.rotary = false;
    Site& site = block.sites.emplace_back(
        Site{Site::Kind::self, Site::Join::pre_norm, shaped_norm(config), std::move(attention)});
    if (eas.adapter) site.adapter = shaped_adapter(*eas.adapter);
  }
  nn::Mlp mlp{std::nullopt, product(), product(), config.activation};
  Site& site = block.sites.emplace_back(
      Site{Site::Kind::feed_forward, Site::Join::pre_norm, shaped_norm(config), std::move(mlp)});
  if (eas.pia) site.pia = shaped_pia(*eas.pia);
  if (eas.pia && eas.gain) site.pia->gain = site.pia->shift = Tensor();
  return block;
}

void visit_block(const WeightName& name, routing::Block& block, const VisionTowerConfig& config, const EasLayer& eas,
                 const WeightVisitor& visitor) {
  for (routing::Site& site : block.sites) {
    if (auto* attention = std::get_if<nn::Attention>(&site.branch)) {
      visit(name.with(Role::norm1), site.norm, config.width, visitor);
      visit(name.with(Role::query), attention->query, config.width, config.width, visitor);
      visit(name.with(Role::key), attention->key, config.width, config.width, visitor);
      visit(name.with(Role::value), attention->value, config.width, config.width, visitor);
      visit(name.with(Role::output), attention->output, config.width, config.width, visitor);
      if (site.adapter) visit_adapter(name, *site.adapter, eas.adapter->rank, config.width, visitor);
    } else if (auto* mlp = std::get_if<nn::Mlp>(&site.branch)) {
      visit(name.with(eas.attention ? Role::norm2 : Role::norm1), site.norm, config.width, visitor);
      visit(name.with(Role::up), mlp->up, config.mlp, config.width, visitor);
      visit(name.with(Role::down), mlp->down, config.width, config.mlp, visitor);
      if (site.pia) visit_pia(name, *site.pia, eas.pia->rank, config.width, visitor);
      if (site.pia && site.pia->gain) visitor({name.with(Role::norm2), &*site.pia->gain, {config.width}});
      if (site.pia && site.pia->shift)
        visitor({name.with(Role::norm2).with(Kind::bias), &*site.pia->shift, {config.width}});
    }
  }
}

/// Every tile is a sequence; every row of it is a vision row that sees every other.
routing::Batch batch_of_tiles(std::span<const plan::Plan* const> plans, const VisionTower::Pass& pass,
                              int64_t rows_per_tile) {
  routing::Batch batch;
  const std::vector<routing::RowKind> kinds(static_cast<size_t>(rows_per_tile), routing::RowKind::vision);
  for (size_t tile = 0; tile < plans.size(); ++tile)
    batch.add({.plan = plans[tile], .lora = pass.loras.empty() ? nullptr : pass.loras[tile]}, kinds);
  for (const uint64_t draw : pass.draws)
    for (int64_t row = 0; row < rows_per_tile; ++row) batch.draws.push_back(mixed(draw, static_cast<uint64_t>(row)));
  return batch;
}

}  // namespace

/// Patch embedding, class token, positions.  pixels: [tiles, 3, height, width] -> [tiles, rows, width]
Tensor VisionTower::embed(const Tensor& pixels) const {
  const int64_t tiles = pixels.size(0), side = config.patch_px;
  const auto [across, down] = config.grid();
  // A convolution whose stride is its size is one product over patches; a rest of the picture at the right or below is
  // unused.
  const Tensor flat = pixels.narrow(2, 0, down * side)
                          .narrow(3, 0, across * side)
                          .reshape({tiles, config.channels, down, side, across, side})
                          .permute({0, 2, 4, 1, 3, 5})
                          .reshape({tiles * config.patches(), config.channels * side * side});
  Tensor rows = patches(flat).view({tiles, config.patches(), config.width});
  if (class_embedding) {
    const Tensor row = class_embedding->to(rows.scalar_type()).view({1, 1, config.width});
    rows = at::cat({row.expand({tiles, 1, config.width}), rows}, 1);
  }
  return rows + positions;
}

Tensor VisionTower::features(const Tensor& pixels, const plan::Plan* plan, const routing::Observer& observer) const {
  const std::vector<const plan::Plan*> plans(static_cast<size_t>(pixels.size(0)), plan);
  return features(pixels, plans, Pass{.observer = observer});
}

Tensor VisionTower::features(const Tensor& pixels, std::span<const plan::Plan* const> plans, const Pass& pass) const {
  require(pixels.dim() == 4 && pixels.size(1) == config.channels, Fault::internal, "the vision tower got no tiles");
  require(pixels.size(2) == config.image.height && pixels.size(3) == config.image.width, Fault::bad_file,
          "the vision tower takes tiles of ", config.image.width, " x ", config.image.height,
          " pixels, preprocessing gives ", pixels.size(3), " x ", pixels.size(2),
          "; preprocessor_config.json does not belong to this tower");
  const int64_t tiles = pixels.size(0), rows = config.rows();
  Tensor x = embed(pixels.to(positions.device())).view({tiles * rows, config.width});
  if (pre_norm) x = (*pre_norm)(x);
  routing::Executor executor(batch_of_tiles(plans, pass, rows), "vision_tower", static_cast<int64_t>(blocks.size()));
  if (pass.observer) executor.observe(pass.observer);
  if (pass.class_rows && !blocks.empty()) executor.watch_first_row(static_cast<int64_t>(blocks.size()) - 1);
  executor.recompute(recomputes);
  std::vector<Tensor> class_tokens;  // [tiles, width] each
  for (size_t layer = 0; layer < blocks.size(); ++layer) {
    x = executor.run(blocks[layer], static_cast<int64_t>(layer), std::move(x));
    require(x.size(0) == tiles * rows, Fault::bad_request,
            "the plan drops tokens of the vision tower for good; the projector needs all of them");
    if (config.class_tokens_every > 0 && (layer + 1) % static_cast<size_t>(config.class_tokens_every) == 0)
      class_tokens.push_back(x.view({tiles, rows, config.width}).select(1, 0));
  }
  if (pass.class_rows) *pass.class_rows = executor.recorded();
  if (config.class_tokens_every > 0) return at::stack(class_tokens, 1);
  x = x.view({tiles, rows, config.width});
  return rows == config.tokens() ? x : x.narrow(1, 1, rows - 1).contiguous();
}

VisionTower shaped_tower(const VisionTowerConfig& config) {
  VisionTower tower{.config = config};
  tower.patches = shaped_linear(config.patch_bias);
  if (config.class_token) tower.class_embedding = Tensor();
  if (config.pre_norm) tower.pre_norm = shaped_norm(config);
  for (int64_t layer = 0; layer < config.layers_run; ++layer)
    tower.blocks.push_back(shaped_block(config, eas_of(config.eas, layer)));
  return tower;
}

void visit(VisionTower& tower, const WeightVisitor& visitor) {
  const VisionTowerConfig& config = tower.config;
  const WeightName name{.part = Part::tower};
  if (tower.class_embedding) visitor({name.with(Role::class_embedding), &*tower.class_embedding, {config.width}});
  visitor({name.with(Role::patches),
           &tower.patches.weight,
           {config.width, config.channels, config.patch_px, config.patch_px},
           true});
  if (tower.patches.bias) visitor({name.with(Role::patches).with(Kind::bias), &*tower.patches.bias, {config.width}});
  visitor({name.with(Role::positions), &tower.positions, {config.rows(), config.width}});
  if (tower.pre_norm) visit(name.with(Role::first_norm), *tower.pre_norm, config.width, visitor);
  for (int64_t layer = 0; layer < static_cast<int64_t>(tower.blocks.size()); ++layer) {
    visit_block({.part = Part::tower, .layer = layer}, tower.blocks[static_cast<size_t>(layer)], config,
                eas_of(config.eas, layer), visitor);
  }
}

}  // namespace lithe::models

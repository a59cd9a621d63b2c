#include "routing/block.h"

#include <algorithm>

namespace lithe::routing {
namespace {

bool reads_whole_prompt(const Site& site, const plan::LayerPlan& layer) {
  const bool on = site.kind == Site::Kind::cross ? layer.cross_attention : layer.self_attention;
  return site.pia || std::holds_alternative<nn::Pia>(site.branch) || (site.adapter && site.adapter->gate) ||
         (site.stand_in && site.stand_in->pia && !on);
}

}  // namespace

const Site* Block::find(Site::Kind kind) const {
  const auto found = std::find_if(sites.begin(), sites.end(), [kind](const Site& site) { return site.kind == kind; });
  return found == sites.end() ? nullptr : &*found;
}

bool read_whole_prompt(std::span<const Block> blocks, const plan::Plan& plan, const std::string& stream) {
  const plan::LayerPlan dense;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const plan::LayerPlan* entry = plan.find(stream, static_cast<int64_t>(i));
    const auto reads = [&](const Site& site) { return reads_whole_prompt(site, entry ? *entry : dense); };
    if (std::any_of(blocks[i].sites.begin(), blocks[i].sites.end(), reads)) return true;
  }
  return false;
}

}  // namespace lithe::routing

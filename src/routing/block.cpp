#include "routing/block.h"

#include <algorithm>

namespace lithe::routing {
namespace {

bool reads_whole_prompt(const Site& site) {
  return site.pia || std::holds_alternative<nn::Pia>(site.branch) || (site.adapter && site.adapter->gate);
}

}  // namespace

const Site* Block::find(Site::Kind kind) const {
  const auto found = std::find_if(sites.begin(), sites.end(), [kind](const Site& site) { return site.kind == kind; });
  return found == sites.end() ? nullptr : &*found;
}

bool read_whole_prompt(std::span<const Block> blocks) {
  return std::any_of(blocks.begin(), blocks.end(), [](const Block& block) {
    return std::any_of(block.sites.begin(), block.sites.end(), reads_whole_prompt);
  });
}

}  // namespace lithe::routing

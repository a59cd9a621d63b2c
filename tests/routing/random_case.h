#pragma once

#include "routing/tiny_model.h"

// Random plans over random prompts and blocks.
namespace lithe::routing {

TinyShape random_shape(Dice& dice);

/// A prompt under a plan of its own; padding is among its rows. With `decodes` its last two rows are decoded, and rules
/// may choose by attention.
Prompt random_case(Dice& dice, const TinyShape& shape, bool decodes);

/// EAS: a RepAdapter before some attentions, a stand-in beside some, a PIA in the place of one. As that attention is
/// off, no plan may read its scores then.
void draw_adapters(Dice& dice, const TinyShape& shape, std::vector<Block>& blocks, std::vector<Prompt>& prompts);

}  // namespace lithe::routing

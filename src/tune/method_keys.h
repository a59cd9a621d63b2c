#pragma once

#include <array>

#include "tune/key_field.h"
#include "tune/recipe.h"

/// The keys inside the blocks of a recipe that stand for methods.
namespace lithe::tune {

Keys<LoraRecipe> lora_keys();
Keys<PModRecipe> p_mod_keys();
Keys<EasRecipe> eas_keys();

/// Keys of `lora` that say what an adapter that learns on says itself.
inline constexpr std::array kOfAdapter{"r", "lora_alpha", "target_modules", "use_rslora"};

}  // namespace lithe::tune

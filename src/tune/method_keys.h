#pragma once

#include "tune/key_field.h"
#include "tune/recipe.h"

/// The keys inside the blocks of a recipe that stand for methods.
namespace lithe::tune {

Keys<LoraRecipe> lora_keys();
Keys<PModRecipe> p_mod_keys();
Keys<EasRecipe> eas_keys();

}  // namespace lithe::tune

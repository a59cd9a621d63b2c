#pragma once

#include <string>
#include <vector>

#include "tune/key_field.h"
#include "tune/recipe.h"

namespace lithe::tune {

/// The one table of keys. It reads recipes, writes them and is the reference.
const Keys<Recipe>& recipe_keys();

/// Every key with its blocks, in the order of the table.
std::vector<KeyHelp> recipe_help();

/// The reference for a terminal.
std::string recipe_help_text();

/// The tables of docs/recipes.md: one per block, as Markdown.
std::string recipe_help_markdown();

}  // namespace lithe::tune

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lithe::tune {

/// Whether `pattern` stands for `name`: `*` is any run of characters, `?` any single one. Without either, the pattern
/// is a whole name or whole parts of one: "mm_projector" stands for "model.mm_projector.0.weight".
bool matches(std::string_view pattern, std::string_view name);

/// Whether `name` is chosen by a list of patterns. The last pattern that stands for it decides; one that begins with
/// "!" leaves it out.  chosen({"*", "!model.vision_tower.*"}, "model.vision_tower.post") == false
bool chosen(const std::vector<std::string>& patterns, std::string_view name);

}  // namespace lithe::tune

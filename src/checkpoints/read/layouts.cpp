#include "checkpoints/read/layouts.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "checkpoints/read/weights.h"

namespace lithe::models {
namespace {

/// "layers.7.mlp.." -> 7 and "mlp.."; absent for other names.
std::optional<std::pair<int64_t, std::string>> split_layer(std::string_view name) {
  constexpr std::string_view kLayers = "layers.";
  if (!name.starts_with(kLayers)) return std::nullopt;
  int64_t layer = 0;
  const auto [end, code] = std::from_chars(name.data() + kLayers.size(), name.data() + name.size(), layer);
  if (code != std::errc() || end == name.data() + name.size() || *end != '.') return std::nullopt;
  return std::pair{layer, std::string(end + 1, name.data() + name.size())};
}

bool is_wrapped(const Layout& layout, int64_t layer) {
  return std::binary_search(layout.wrapped.begin(), layout.wrapped.end(), layer);
}

std::string decoder_name(const Layout& layout, const std::string& slot) {
  if (slot.starts_with("lm_head.")) return layout.head + slot;
  const auto split = split_layer(slot);
  if (!split || !is_wrapped(layout, split->first)) return layout.decoder + slot;
  const char* inside = split->second.starts_with("router.") ? ".router." : ".decoder_layer.";
  return concat(layout.decoder, "layers.", split->first, inside, split->second);
}

std::optional<std::string> decoder_slot(const Layout& layout, const std::string& rest) {
  const auto split = split_layer(rest);
  if (!split) {
    const bool known =
        rest.starts_with("embed_tokens.") || rest.starts_with("norm.") || rest.starts_with("modality_embedding.");
    return known ? std::optional(rest) : std::nullopt;
  }
  if (!is_wrapped(layout, split->first)) return rest;
  for (const std::string_view inside : {"decoder_layer.", "router."}) {
    if (split->second.starts_with(inside))
      return concat("layers.", split->first, ".", split->second.substr(inside.size()));
  }
  return std::nullopt;
}

/// "1.weight" -> "linear_2.weight", "2.weight", or of a single one "weight"
std::string projector_name(Layout::ProjectorNames names, const std::string& slot) {
  const size_t dot = slot.find('.');
  int64_t number = 0;
  std::from_chars(slot.data(), slot.data() + dot, number);
  const std::string kind = slot.substr(dot + 1);
  if (names == Layout::ProjectorNames::single) return kind;
  if (names == Layout::ProjectorNames::sequential) return concat(2 * number, ".", kind);
  return concat("linear_", number + 1, ".", kind);
}

std::optional<std::string> projector_slot(Layout::ProjectorNames names, const std::string& rest) {
  constexpr int64_t kMostLayers = 9;
  for (int64_t number = 0; number < kMostLayers; ++number) {
    for (const char* kind : {"weight", "bias"}) {
      const std::string slot = concat(number, ".", kind);
      if (projector_name(names, slot) == rest) return slot;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string name_in(const Layout& layout, const WeightName& name) {
  return name_in(layout, PartName{name.part, text_of(name)});
}

std::string name_in(const Layout& layout, const PartName& name) {
  const std::string& slot = name.text;
  switch (name.part) {
    case Part::decoder:
      return decoder_name(layout, slot);
    case Part::tower:
      return layout.tower + slot;
    case Part::projector:
      return layout.projector + projector_name(layout.projector_names, slot);
    case Part::newline:
      return layout.newline + slot;
    default:  // METER's, whose files are not in such a layout
      break;
  }
  fail(Fault::internal, "a part of a model has no names");
}

std::optional<PartName> part_of(const Layout& layout, const std::string& name) {
  const auto below = [&](const std::string& prefix) { return name.substr(prefix.size()); };
  if (name == layout.newline + text_of(kNewline)) return PartName{Part::newline, text_of(kNewline)};
  if (name.starts_with(layout.head + "lm_head.")) return PartName{Part::decoder, below(layout.head)};
  // The decoder's prefix may be the beginning of the others'.
  if (name.starts_with(layout.projector)) {
    const auto slot = projector_slot(layout.projector_names, below(layout.projector));
    return slot ? std::optional(PartName{Part::projector, *slot}) : std::nullopt;
  }
  if (name.starts_with(layout.tower)) return PartName{Part::tower, below(layout.tower)};
  if (!name.starts_with(layout.decoder)) return std::nullopt;
  const auto slot = decoder_slot(layout, below(layout.decoder));
  return slot ? std::optional(PartName{Part::decoder, *slot}) : std::nullopt;
}

std::vector<int64_t> layers_with_router(const io::Checkpoint& checkpoint, const std::string& decoder, int64_t layers) {
  std::vector<int64_t> found;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const std::string name = concat(decoder, "layers.", layer, ".router.");
    if (checkpoint.contains(name + "weight") || checkpoint.contains(name + "router.weight")) found.push_back(layer);
  }
  return found;
}

bool holds_tower(const io::Checkpoint& checkpoint, const Layout& layout) {
  return checkpoint.contains(layout.tower + kTowerProbe);
}

std::string own_tower_prefix(const io::Checkpoint& tower) {
  return prefix_of(tower, {"vision_model.", ""}, kTowerProbe);
}

}  // namespace lithe::models

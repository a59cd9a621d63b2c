#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lithe::models {

/// The parts of a model that hold weights. METER has an encoder of text, two streams and a part for each head.
enum class Part {
  decoder,
  tower,
  projector,
  newline,
  text_encoder,
  text_stream,
  image_stream,
  vqa,
  nlvr2,
  snli,
  itm,
  rank,
  mlm
};

/// What a weight does in its part, or in a layer of it.
enum class Role {
  all,  ///< No role: the name stands for everything that it leaves open, all of a layer or of an adapter.
  // Of a part.
  embeddings,
  class_embedding,
  positions,
  patches,
  first_norm,
  last_norm,
  head,
  newline,
  token_types,
  transform,
  pooler,
  modality,  ///< LaVIN's two rows, one of which begins a prompt: without a picture, with one.
  // Of a layer.
  norm1,
  norm2,
  query,
  key,
  value,
  output,
  gate,
  up,
  down,
  router,
  product,  ///< The only one of a projector's layer, or of a head.
  // Of an adapter.
  shared,  ///< A of the paper; a RepAdapter's way down.
  own,     ///< C
  path1,   ///< B
  path2,   ///< D
  adapter_gate,
};

/// What stands beside or in place of an attention (EAS).
enum class Adapter { none, rep, pia };

/// What a weight is to its role. The factors are LoRA's.
enum class Kind { weight, bias, factor_a, factor_b };

/// Which site of a layer a weight belongs to, if a layer has its role at several. Only METER's layers do: they have a
/// second attention, and adapters at every site.
enum class At { self, cross, feed_forward };

constexpr int64_t kNoLayer = -1;

/// The name of a weight as `visit` gives it. Whatever asks what a weight is (counting, folding, benches, LoRA) reads
/// it here; only layouts, messages and files spell it.
struct WeightName {
  Part part = Part::decoder;
  int64_t layer = kNoLayer;
  Adapter adapter = Adapter::none;
  Role role = Role::all;
  Kind kind = Kind::weight;
  At at = At::self;

  WeightName with(Role other) const { return {part, layer, adapter, other, kind, at}; }
  WeightName with(Adapter other) const { return {part, layer, other, role, kind, at}; }
  WeightName with(Kind other) const { return {part, layer, adapter, role, other, at}; }
  WeightName with(At other) const { return {part, layer, adapter, role, kind, other}; }
  bool in_layer() const { return layer != kNoLayer; }

  auto operator<=>(const WeightName&) const = default;
};

/// The row that ends each row of a picture's map.
constexpr WeightName kNewline{.part = Part::newline, .role = Role::newline};

bool is_norm(Role role);
bool is_attention(Role role);  ///< One of the four products.

/// As LLaMA, CLIP and LLaVA-EAS checkpoints spell it within the part: "layers.0.self_attn.q_proj.weight",
/// "encoder.layers.0.mlp.fc1.bias", "layers.2.replaced_adapter.conv_C.weight", "lm_head.weight", "image_newline"; of a
/// projector the number of the layer comes first, "0.weight". Without a role: "layers.2.replaced_adapter". METER's own
/// parts are spelt as its checkpoints do: "cross_modal_text_layers.0.attention.self.query.weight".
std::string text_of(const WeightName& name);

/// The inverse, for names with a role. Names are unique over all parts. Absent if no weight is called so.
std::optional<WeightName> weight_named(std::string_view text);

}  // namespace lithe::models

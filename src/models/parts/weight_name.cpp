#include "models/parts/weight_name.h"

#include <charconv>
#include <utility>

#include "base/error.h"

namespace lithe::models {
namespace {

struct Spelling {
  Part part;
  bool in_layer;
  Role role;
  std::string_view text;
};

constexpr Spelling kSpellings[] = {
    {Part::decoder, false, Role::embeddings, "embed_tokens"},
    {Part::decoder, false, Role::last_norm, "norm"},
    {Part::decoder, false, Role::head, "lm_head"},
    {Part::decoder, true, Role::norm1, "input_layernorm"},
    {Part::decoder, true, Role::norm2, "post_attention_layernorm"},
    {Part::decoder, true, Role::query, "self_attn.q_proj"},
    {Part::decoder, true, Role::key, "self_attn.k_proj"},
    {Part::decoder, true, Role::value, "self_attn.v_proj"},
    {Part::decoder, true, Role::output, "self_attn.o_proj"},
    {Part::decoder, true, Role::gate, "mlp.gate_proj"},
    {Part::decoder, true, Role::up, "mlp.up_proj"},
    {Part::decoder, true, Role::down, "mlp.down_proj"},
    {Part::decoder, true, Role::router, "router"},
    {Part::tower, false, Role::class_embedding, "embeddings.class_embedding"},
    {Part::tower, false, Role::patches, "embeddings.patch_embedding"},
    {Part::tower, false, Role::positions, "embeddings.position_embedding"},
    {Part::tower, false, Role::first_norm, "pre_layrnorm"},  // spelt so in every CLIP checkpoint
    {Part::tower, false, Role::last_norm, "post_layernorm"},
    {Part::tower, true, Role::norm1, "layer_norm1"},
    {Part::tower, true, Role::norm2, "layer_norm2"},
    {Part::tower, true, Role::query, "self_attn.q_proj"},
    {Part::tower, true, Role::key, "self_attn.k_proj"},
    {Part::tower, true, Role::value, "self_attn.v_proj"},
    {Part::tower, true, Role::output, "self_attn.out_proj"},
    {Part::tower, true, Role::up, "mlp.fc1"},
    {Part::tower, true, Role::down, "mlp.fc2"},
    {Part::projector, true, Role::product, ""},
    {Part::newline, false, Role::newline, "image_newline"},
};

/// The same in every part.
struct AdapterSpelling {
  Role role;
  std::string_view text;
};
constexpr AdapterSpelling kAdapterSpellings[] = {{Role::shared, "conv_A"},
                                                 {Role::own, "conv_C"},
                                                 {Role::path1, "conv_B"},
                                                 {Role::path2, "conv_D"},
                                                 {Role::adapter_gate, "expert_weights"}};
constexpr std::string_view kRep = "adapter_attn", kPia = "replaced_adapter";

/// The factors first, since they end with "weight" too.
constexpr std::pair<Kind, std::string_view> kKinds[] = {{Kind::factor_a, "lora_A.weight"},
                                                        {Kind::factor_b, "lora_B.weight"},
                                                        {Kind::weight, "weight"},
                                                        {Kind::bias, "bias"}};

/// Tensors that are called as what they are, without ".weight".
bool is_bare(Role role) {
  return role == Role::class_embedding || role == Role::newline;
}

std::string_view before_layers(Part part) {
  if (part == Part::tower) return "encoder.layers.";
  return part == Part::decoder ? "layers." : "";
}

std::string_view role_text(const WeightName& name) {
  if (name.adapter != Adapter::none) {
    for (const auto& [role, text] : kAdapterSpellings)
      if (role == name.role) return text;
  }
  for (const auto& [part, in_layer, role, text] : kSpellings)
    if (part == name.part && role == name.role && in_layer == name.in_layer()) return text;
  fail(Fault::internal, "a weight has no name");
}

void append(std::string& text, std::string_view piece) {
  if (!text.empty() && !piece.empty()) text += '.';
  text += piece;
}

bool take_front(std::string_view& text, std::string_view front) {
  if (!text.starts_with(front)) return false;
  text.remove_prefix(front.size());
  return true;
}

/// Takes "layers.7." off the front, with what stands before it in a part; nothing if `text` begins otherwise.
bool take_layer(std::string_view& text, Part part, int64_t& layer) {
  std::string_view rest = text;
  if (!take_front(rest, before_layers(part))) return false;
  const auto [end, code] = std::from_chars(rest.data(), rest.data() + rest.size(), layer);
  if (code != std::errc() || end == rest.data() + rest.size() || *end != '.' || layer < 0) return false;
  text = rest.substr(static_cast<size_t>(end - rest.data()) + 1);
  return true;
}

/// Takes ".bias" and the like off the end.
std::optional<Kind> take_kind(std::string_view& text) {
  for (const auto& [kind, spelt] : kKinds) {
    if (!text.ends_with(spelt)) continue;
    text.remove_suffix(spelt.size());
    if (text.empty()) return kind;
    if (!text.ends_with('.')) return std::nullopt;
    text.remove_suffix(1);
    return kind;
  }
  return std::nullopt;
}

/// The role that `text`, without layer and kind, stands for.
std::optional<WeightName> role_named(std::string_view text, WeightName name) {
  if (name.in_layer() && take_front(text, kRep)) name.adapter = Adapter::rep;
  if (name.in_layer() && take_front(text, kPia)) name.adapter = Adapter::pia;
  if (name.adapter != Adapter::none) {
    if (!take_front(text, ".")) return std::nullopt;
    for (const auto& [role, spelt] : kAdapterSpellings)
      if (spelt == text) return name.with(role);
    return std::nullopt;
  }
  for (const auto& [part, in_layer, role, spelt] : kSpellings)
    if (part == name.part && in_layer == name.in_layer() && spelt == text) return name.with(role);
  return std::nullopt;
}

}  // namespace

bool is_norm(Role role) {
  return role == Role::norm1 || role == Role::norm2 || role == Role::first_norm || role == Role::last_norm;
}

bool is_attention(Role role) {
  return role == Role::query || role == Role::key || role == Role::value || role == Role::output;
}

std::string text_of(const WeightName& name) {
  std::string text;
  if (name.in_layer()) text = concat(before_layers(name.part), name.layer);
  if (name.adapter != Adapter::none) append(text, name.adapter == Adapter::rep ? kRep : kPia);
  if (name.role == Role::all) return text;
  append(text, role_text(name));
  if (is_bare(name.role)) return text;
  for (const auto& [kind, spelt] : kKinds)
    if (kind == name.kind) append(text, spelt);
  return text;
}

std::optional<WeightName> weight_named(std::string_view text) {
  for (const Part part : {Part::decoder, Part::tower, Part::projector, Part::newline}) {
    std::string_view rest = text;
    WeightName name{.part = part};
    int64_t layer = kNoLayer;
    if (part != Part::newline && take_layer(rest, part, layer)) name.layer = layer;
    std::string_view without_kind = rest;
    if (const auto kind = take_kind(without_kind)) {
      const auto found = role_named(without_kind, name.with(*kind));
      if (found && !is_bare(found->role)) return found;
    }
    const auto found = role_named(rest, name);
    if (found && is_bare(found->role)) return found;
  }
  return std::nullopt;
}

}  // namespace lithe::models

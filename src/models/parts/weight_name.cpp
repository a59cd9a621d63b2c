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
  At at = At::self;
};

constexpr Spelling kSpellings[] = {
    {Part::decoder, false, Role::embeddings, "embed_tokens"},
    {Part::decoder, false, Role::last_norm, "norm"},
    {Part::decoder, false, Role::modality, "modality_embedding"},
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
    // Layers of the streams are spelt as those of the encoder of text.
    {Part::text_encoder, false, Role::embeddings, "text_transformer.embeddings.word_embeddings"},
    {Part::text_encoder, false, Role::positions, "text_transformer.embeddings.position_embeddings"},
    {Part::text_encoder, false, Role::token_types, "text_transformer.embeddings.token_type_embeddings"},
    {Part::text_encoder, false, Role::first_norm, "text_transformer.embeddings.LayerNorm"},
    {Part::text_encoder, true, Role::query, "attention.self.query"},
    {Part::text_encoder, true, Role::key, "attention.self.key"},
    {Part::text_encoder, true, Role::value, "attention.self.value"},
    {Part::text_encoder, true, Role::output, "attention.output.dense"},
    {Part::text_encoder, true, Role::norm1, "attention.output.LayerNorm"},
    {Part::text_encoder, true, Role::query, "crossattention.self.query", At::cross},
    {Part::text_encoder, true, Role::key, "crossattention.self.key", At::cross},
    {Part::text_encoder, true, Role::value, "crossattention.self.value", At::cross},
    {Part::text_encoder, true, Role::output, "crossattention.output.dense", At::cross},
    {Part::text_encoder, true, Role::norm1, "crossattention.output.LayerNorm", At::cross},
    {Part::text_encoder, true, Role::up, "intermediate.dense"},
    {Part::text_encoder, true, Role::down, "output.dense"},
    {Part::text_encoder, true, Role::norm2, "output.LayerNorm"},
    {Part::text_stream, false, Role::token_types, "token_type_embeddings"},
    {Part::text_stream, false, Role::class_embedding, "token4classifier"},
    {Part::text_stream, false, Role::transform, "cross_modal_text_transform"},
    {Part::text_stream, false, Role::pooler, "cross_modal_text_pooler.dense"},
    {Part::image_stream, false, Role::transform, "cross_modal_image_transform"},
    {Part::image_stream, false, Role::pooler, "cross_modal_image_pooler.dense"},
    {Part::vqa, false, Role::up, "vqa_classifier.0"},
    {Part::vqa, false, Role::norm1, "vqa_classifier.1"},
    {Part::vqa, false, Role::down, "vqa_classifier.3"},
    {Part::nlvr2, false, Role::up, "nlvr2_classifier.0"},
    {Part::nlvr2, false, Role::norm1, "nlvr2_classifier.1"},
    {Part::nlvr2, false, Role::down, "nlvr2_classifier.3"},
    {Part::snli, false, Role::up, "snli_classifier.0"},
    {Part::snli, false, Role::norm1, "snli_classifier.1"},
    {Part::snli, false, Role::down, "snli_classifier.3"},
    {Part::itm, false, Role::product, "itm_score.fc"},
    {Part::rank, false, Role::product, "rank_output"},
    {Part::mlm, false, Role::up, "mlm_score.transform.dense"},
    {Part::mlm, false, Role::norm1, "mlm_score.transform.LayerNorm"},
    {Part::mlm, false, Role::down, "mlm_score.decoder"},
    {Part::mlm, false, Role::head, "mlm_score"},  // the bias of the one before
};

constexpr Part kParts[] = {Part::decoder,     Part::tower,        Part::projector, Part::newline, Part::text_encoder,
                           Part::text_stream, Part::image_stream, Part::vqa,       Part::nlvr2,   Part::snli,
                           Part::itm,         Part::rank,         Part::mlm};

bool is_stream(Part part) {
  return part == Part::text_stream || part == Part::image_stream;
}

/// Whose spellings a weight of a part follows.
Part spelt_as(Part part, bool in_layer) {
  return in_layer && is_stream(part) ? Part::text_encoder : part;
}

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

/// What an adapter itself is called.
struct AdapterName {
  bool of_stream;  ///< In METER's streams, or anywhere else.
  Adapter adapter;
  At at;
  std::string_view text;
};
constexpr AdapterName kAdapterNames[] = {{false, Adapter::rep, At::self, "adapter_attn"},
                                         {false, Adapter::pia, At::self, "replaced_adapter"},
                                         {true, Adapter::rep, At::self, "attention.adapter"},
                                         {true, Adapter::rep, At::cross, "crossattention.adapter"},
                                         {true, Adapter::rep, At::feed_forward, "intermediate.adapter"},
                                         {true, Adapter::pia, At::self, "adapter_self_attn"},
                                         {true, Adapter::pia, At::cross, "adapter_cross_attn"}};

std::string_view adapter_text(const WeightName& name) {
  for (const AdapterName& known : kAdapterNames)
    if (known.of_stream == is_stream(name.part) && known.adapter == name.adapter && known.at == name.at)
      return known.text;
  fail(Fault::internal, "an adapter has no name");
}

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
  switch (part) {
    case Part::decoder:
      return "layers.";
    case Part::tower:
      return "encoder.layers.";
    case Part::text_encoder:
      return "text_transformer.encoder.layer.";
    case Part::text_stream:
      return "cross_modal_text_layers.";
    case Part::image_stream:
      return "cross_modal_image_layers.";
    default:
      return "";
  }
}

std::string_view role_text(const WeightName& name) {
  if (name.adapter != Adapter::none) {
    for (const auto& [role, text] : kAdapterSpellings)
      if (role == name.role) return text;
  }
  for (const auto& [part, in_layer, role, text, at] : kSpellings)
    if (part == spelt_as(name.part, in_layer) && role == name.role && in_layer == name.in_layer() && at == name.at)
      return text;
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
  for (const AdapterName& known : kAdapterNames) {
    if (!name.in_layer() || known.of_stream != is_stream(name.part) || !take_front(text, known.text)) continue;
    if (!take_front(text, ".")) return std::nullopt;
    for (const auto& [role, spelt] : kAdapterSpellings)
      if (spelt == text) return name.with(known.adapter).with(known.at).with(role);
    return std::nullopt;
  }
  for (const auto& [part, in_layer, role, spelt, at] : kSpellings)
    if (part == spelt_as(name.part, in_layer) && in_layer == name.in_layer() && spelt == text)
      return name.with(role).with(at);
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
  if (name.adapter != Adapter::none) append(text, adapter_text(name));
  if (name.role == Role::all) return text;
  append(text, role_text(name));
  if (is_bare(name.role)) return text;
  for (const auto& [kind, spelt] : kKinds)
    if (kind == name.kind) append(text, spelt);
  return text;
}

std::optional<WeightName> weight_named(std::string_view text) {
  for (const Part part : kParts) {
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

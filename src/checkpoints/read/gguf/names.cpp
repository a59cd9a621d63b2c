#include "checkpoints/read/gguf/names.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"

namespace lithe::models {
namespace {

struct Spelling {
  Part part;
  bool in_layer;
  Role role;
  std::string_view text;
};

constexpr std::array kSpellings{
    Spelling{Part::decoder, false, Role::embeddings, "token_embd"},
    Spelling{Part::decoder, false, Role::last_norm, "output_norm"},
    Spelling{Part::decoder, false, Role::head, "output"},
    Spelling{Part::decoder, true, Role::norm1, "attn_norm"},
    Spelling{Part::decoder, true, Role::norm2, "ffn_norm"},
    Spelling{Part::decoder, true, Role::query, "attn_q"},
    Spelling{Part::decoder, true, Role::key, "attn_k"},
    Spelling{Part::decoder, true, Role::value, "attn_v"},
    Spelling{Part::decoder, true, Role::output, "attn_output"},
    Spelling{Part::decoder, true, Role::gate, "ffn_gate"},
    Spelling{Part::decoder, true, Role::up, "ffn_up"},
    Spelling{Part::decoder, true, Role::down, "ffn_down"},
    Spelling{Part::tower, false, Role::positions, "position_embd"},
    Spelling{Part::tower, false, Role::patches, "patch_embd"},
    Spelling{Part::tower, false, Role::first_norm, "pre_ln"},
    Spelling{Part::tower, true, Role::norm1, "ln1"},
    Spelling{Part::tower, true, Role::norm2, "ln2"},
    Spelling{Part::tower, true, Role::query, "attn_q"},
    Spelling{Part::tower, true, Role::key, "attn_k"},
    Spelling{Part::tower, true, Role::value, "attn_v"},
    Spelling{Part::tower, true, Role::output, "attn_out"},
    Spelling{Part::tower, true, Role::up, "ffn_up"},
    Spelling{Part::tower, true, Role::down, "ffn_down"},
};

Role swapped_role(Role role) {
  return role == Role::up ? Role::down : role == Role::down ? Role::up : role;
}

}  // namespace

std::string gguf_name(const WeightName& name, bool swapped) {
  const char* const kind = name.kind == Kind::bias ? ".bias" : ".weight";
  if (name.part == Part::newline) return "model.image_newline";
  if (name.part == Part::projector) return concat("mm.", 2 * name.layer, kind);  // nn.Sequential counts activations
  if (name.part == Part::tower && name.role == Role::class_embedding) return "v.class_embd";
  const std::string layer = name.in_layer() ? concat("blk.", name.layer, ".") : "";
  const char* const part = name.part == Part::tower ? "v." : "";
  if (name.role == Role::all) return part + layer;  // everything of the layer
  const Role role = swapped && name.part == Part::tower ? swapped_role(name.role) : name.role;
  const auto found = std::find_if(kSpellings.begin(), kSpellings.end(), [&](const Spelling& known) {
    return known.part == name.part && known.in_layer == name.in_layer() && known.role == role;
  });
  require(found != kSpellings.end() && name.adapter == Adapter::none, Fault::internal,
          "llama.cpp has no name for the weight ", text_of(name));
  return concat(part, layer, found->text, kind);
}

}  // namespace lithe::models

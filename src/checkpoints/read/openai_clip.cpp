#include "checkpoints/read/openai_clip.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace lithe::models {
namespace {

using io::TensorView;

const std::string kVisual = "visual.", kBlocks = "visual.transformer.resblocks.";

constexpr std::pair<std::string_view, std::string_view> kOfTower[] = {
    {"class_embedding", "embeddings.class_embedding"},
    {"positional_embedding", "embeddings.position_embedding.weight"},
    {"conv1.weight", "embeddings.patch_embedding.weight"},
    {"ln_pre.weight", "pre_layrnorm.weight"},
    {"ln_pre.bias", "pre_layrnorm.bias"},
    {"ln_post.weight", "post_layernorm.weight"},
    {"ln_post.bias", "post_layernorm.bias"},
};
constexpr std::pair<std::string_view, std::string_view> kOfBlock[] = {
    {"ln_1.weight", "layer_norm1.weight"},
    {"ln_1.bias", "layer_norm1.bias"},
    {"ln_2.weight", "layer_norm2.weight"},
    {"ln_2.bias", "layer_norm2.bias"},
    {"attn.out_proj.weight", "self_attn.out_proj.weight"},
    {"attn.out_proj.bias", "self_attn.out_proj.bias"},
    {"mlp.c_fc.weight", "mlp.fc1.weight"},
    {"mlp.c_fc.bias", "mlp.fc1.bias"},
    {"mlp.c_proj.weight", "mlp.fc2.weight"},
    {"mlp.c_proj.bias", "mlp.fc2.bias"},
};

/// Queries, keys and values, one after another.  -> a view of the i-th third
TensorView third_of(const TensorView& all, size_t i) {
  require(!all.shape.empty() && all.shape[0] % 3 == 0, Fault::bad_file, all.file,
          ": a tower's queries, keys and values are ", io::text_of(all.shape), ", which is not three equal parts");
  TensorView part = all;
  part.shape[0] /= 3;
  const size_t size = all.bytes.size() / 3;
  part.bytes = all.bytes.subspan(i * size, size);
  return part;
}

void put_of_block(const std::string& block, std::string_view rest, const TensorView& tensor,
                  std::map<std::string, TensorView>& out) {
  for (const std::string_view kind : {"weight", "bias"}) {
    if (rest != concat("attn.in_proj_", kind)) continue;
    size_t i = 0;
    for (const char* product : {"q_proj", "k_proj", "v_proj"})
      out.insert_or_assign(concat(block, "self_attn.", product, ".", kind), third_of(tensor, i++));
    return;
  }
  const auto* const found =
      std::find_if(std::begin(kOfBlock), std::end(kOfBlock), [&](const auto& entry) { return entry.first == rest; });
  // What is not known keeps its name, so that the loader says so.
  out.insert_or_assign(concat(block, found == std::end(kOfBlock) ? rest : found->second), tensor);
}

/// The side of a square of so many patches.
int64_t side_of(int64_t patches, const std::string& source) {
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(std::max<int64_t>(patches, 0)))));
  require(side > 0 && side * side == patches, Fault::bad_file, source, ": a tower has positions for ", patches,
          " patches, which is not a square number");
  return side;
}

int64_t count_blocks(const io::Checkpoint& checkpoint) {
  int64_t blocks = 0;
  while (checkpoint.contains(concat(kBlocks, blocks, ".ln_1.weight"))) ++blocks;
  return blocks;
}

}  // namespace

bool is_openai_clip(const io::Checkpoint& checkpoint) {
  return checkpoint.contains("visual.conv1.weight") && checkpoint.contains("visual.positional_embedding");
}

Json openai_clip_config(const io::Checkpoint& checkpoint) {
  const TensorView &patches = checkpoint.at("visual.conv1.weight"),
                   &positions = checkpoint.at("visual.positional_embedding"),
                   &wide = checkpoint.at(kBlocks + "0.mlp.c_fc.weight");
  const std::string source = checkpoint.path().string();
  require(patches.shape.size() == 4 && positions.shape.size() == 2 && wide.shape.size() == 2, Fault::bad_file, source,
          ": the tower's tensors are not those of a CLIP of patches; CLIPs of ResNet are not read");
  constexpr int64_t kHeadWidth = 64, kFewest = 2;
  const int64_t width = patches.shape[0], patch = patches.shape[3];
  return {{"model_type", "clip_vision_model"},
          {"hidden_size", width},
          {"intermediate_size", wide.shape[0]},
          {"num_hidden_layers", count_blocks(checkpoint)},
          {"num_attention_heads", std::max(kFewest, width / kHeadWidth)},
          {"image_size", patch * side_of(positions.shape[0] - 1, source)},
          {"patch_size", patch}};
}

void put_openai_clip(const io::Checkpoint& checkpoint, const std::string& prefix,
                     std::map<std::string, TensorView>& out) {
  for (const std::string& name : checkpoint.names()) {
    if (!name.starts_with(kVisual) || name == "visual.proj") continue;
    const TensorView& tensor = checkpoint.at(name);
    if (name.starts_with(kBlocks)) {
      const std::string_view inside = std::string_view(name).substr(kBlocks.size());
      const size_t dot = std::min(inside.find('.'), inside.size() - 1);
      put_of_block(concat(prefix, "encoder.layers.", inside.substr(0, dot + 1)), inside.substr(dot + 1), tensor, out);
      continue;
    }
    const std::string_view rest = std::string_view(name).substr(kVisual.size());
    const auto* const found =
        std::find_if(std::begin(kOfTower), std::end(kOfTower), [&](const auto& entry) { return entry.first == rest; });
    out.insert_or_assign(concat(prefix, found == std::end(kOfTower) ? rest : found->second), tensor);
  }
}

}  // namespace lithe::models

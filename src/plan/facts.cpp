#include "plan/facts.h"

#include <algorithm>
#include <initializer_list>

#include "base/error.h"

namespace lithe::plan {
namespace {

/// CLIP ViT-L/14 at 336 pixels, read at hidden_states[-2].
TowerFacts clip_large_336(int64_t max_tiles) {
  return {.layers = 23,
          .width = 1024,
          .mlp = 4096,
          .heads = 16,
          .tokens = 577,
          .patches = 576,
          .image = 336,
          .patch = 14,
          .channels = 3,
          .max_tiles = max_tiles};
}

ModelFacts vicuna(const std::string& name, int64_t layers, int64_t hidden, int64_t intermediate, int64_t heads) {
  ModelFacts facts;
  facts.name = name;
  facts.layers = layers;
  facts.hidden = hidden;
  facts.intermediate = intermediate;
  facts.heads = heads;
  facts.kv_heads = heads;
  facts.head_dim = 128;
  facts.vocab = 32000;
  facts.tower = clip_large_336(1);
  facts.projector.widths = {1024, hidden, hidden};
  facts.routers_everywhere = true;
  return facts;
}

/// LaVIN over LLaMA-7B: six class tokens of CLIP ViT-L/14 at 224 pixels, RepAdapters in every block of both, and a PIA
/// that can stand in for each attention of LLaMA. Ranks are those whose numbers of weights the papers of LaVIN and EAS
/// give: 3.8 M, and 5.4 M with 12 attentions skipped. (The code that EAS publishes makes PIAs of rank 32.)
ModelFacts lavin(const std::string& name) {
  ModelFacts facts = vicuna(name, 32, 4096, 11008, 32);
  facts.modality_rows = 2;
  facts.projector.widths = {1024, 128, 4096};
  facts.tower->layers = 24;
  facts.tower->image = 224;
  facts.tower->patches = 256;
  facts.tower->tokens = 257;
  facts.tower->outputs = 6;
  constexpr int64_t kRepRank = 8, kPiaRank = 16;
  for (int64_t layer = 0; layer < facts.tower->layers; ++layer)
    facts.adapters.push_back({{"vision_tower", layer}, false, kRepRank});
  for (int64_t layer = 0; layer < facts.layers; ++layer) {
    facts.adapters.push_back({{"decoder", layer}, false, kRepRank});
    facts.adapters.push_back({{"decoder", layer}, true, kPiaRank});
  }
  return facts;
}

void bound(const ModelFacts& model, const char* what, int64_t value, int64_t most) {
  require(value >= 0 && value <= most, Fault::bad_file, "model '", model.name, "': ", what, " is ", value,
          ", expected 0 to ", most);
}

}  // namespace

int64_t ModelFacts::layers_of(const std::string& stream) const {
  if (stream == "decoder") return layers;
  if (stream == "vision_tower") return tower ? tower->layers : 0;
  const auto found = streams.find(stream);
  return found == streams.end() ? 0 : found->second.layers;
}

bool ModelFacts::has_cross_attention(const std::string& stream) const {
  if (stream == "decoder") return cross_attention;
  const auto found = streams.find(stream);
  return found != streams.end() && found->second.cross_attention;
}

bool ModelFacts::has_router(const std::string& stream, int64_t layer) const {
  return routers_everywhere || std::find(routers.begin(), routers.end(), SiteName{stream, layer}) != routers.end();
}

bool ModelFacts::is_fixed(const std::string& stream, int64_t layer, const std::string& attention) const {
  return std::find(fixed.begin(), fixed.end(), FixedSite{{stream, layer}, attention}) != fixed.end();
}

const SelectorFacts* ModelFacts::find_selector(const std::string& name) const {
  const auto found =
      std::find_if(selectors.begin(), selectors.end(), [&](const SelectorFacts& known) { return known.name == name; });
  return found == selectors.end() ? nullptr : &*found;
}

void check(const ModelFacts& model) {
  bound(model, "the number of decoder layers", model.layers, kMaxLayers);
  for (const auto& [what, value] :
       std::initializer_list<std::pair<const char*, int64_t>>{{"the hidden width", model.hidden},
                                                              {"the feed-forward width", model.intermediate},
                                                              {"the number of heads", model.heads},
                                                              {"the number of key-value heads", model.kv_heads},
                                                              {"the width of a head", model.head_dim},
                                                              {"the vocabulary", model.vocab}}) {
    bound(model, what, value, kMaxWidth);
  }
  bound(model, "the width of all heads", model.heads * model.head_dim, kMaxWidth);
  bound(model, "the width of all key-value heads", model.kv_heads * model.head_dim, kMaxWidth);
  for (const int64_t width : model.projector.widths) bound(model, "a projector width", width, kMaxWidth);
  for (const auto& [name, stream] : model.streams) {
    bound(model, "the number of layers of a stream", stream.layers, kMaxLayers);
  }
  for (const AdapterFacts& adapter : model.adapters) {
    bound(model, "an adapter's rank", adapter.rank, kMaxWidth);
    require(adapter.groups >= 1 && adapter.site.layer >= 0 && adapter.site.layer < model.layers_of(adapter.site.stream),
            Fault::bad_file, "model '", model.name, "': an adapter of ", adapter.groups, " groups in layer ",
            adapter.site.layer, " of ", adapter.site.stream);
  }
  for (const LowRankFacts& product : model.low_rank) {
    require(
        product.site.layer >= 0 && product.site.layer < std::max<int64_t>(model.layers_of(product.site.stream), 1) &&
            product.parameters >= 0,
        Fault::bad_file, "model '", model.name, "': LoRA in layer ", product.site.layer, " of ", product.site.stream);
  }
  if (!model.tower) return;
  const TowerFacts& tower = *model.tower;
  bound(model, "the number of tower layers", tower.layers, kMaxLayers);
  for (const int64_t size : {tower.width, tower.mlp, tower.heads, tower.image, tower.patch, tower.channels}) {
    bound(model, "a size of the vision tower", size, kMaxWidth);
  }
  for (const int64_t rows : {tower.tokens, tower.patches, tower.rows_out(), tower.max_tiles}) {
    bound(model, "a row count of the vision tower", rows, int64_t{1} << 20);
  }
}

ModelFacts shape_named(const std::string& name) {
  if (name == "llava-1.5-7b") return vicuna(name, 32, 4096, 11008, 32);
  if (name == "llava-1.5-13b") return vicuna(name, 40, 5120, 13824, 40);
  if (name == "llava-next-7b") {
    ModelFacts facts = vicuna(name, 32, 4096, 11008, 32);
    facts.tower = clip_large_336(5);
    return facts;
  }
  if (name == "lavin-7b") return lavin(name);
  std::string known;
  for (const std::string& shape : shape_names()) known += (known.empty() ? "" : ", ") + shape;
  fail(Fault::bad_request, "no shape is called '", name, "'; there are ", known);
}

std::vector<std::string> shape_names() {
  return {"lavin-7b", "llava-1.5-13b", "llava-1.5-7b", "llava-next-7b"};
}

}  // namespace lithe::plan

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lithe::plan {

/// A vision tower as far as its cost goes: a patch embedding and `layers` blocks with full attention and an MLP of two
/// products. The counts are per tile (what the tower takes at once).
struct TowerFacts {
  int64_t layers = 0;              ///< Blocks that run: CLIP ViT-L has 24, LLaVA reads hidden_states[-2], so 23.
  int64_t width = 0;               ///< Hidden size.
  int64_t mlp = 0;                 ///< Inner width of the MLP.
  int64_t heads = 0;               ///< Attention heads.
  int64_t tokens = 0;              ///< Rows of a tile: patches + class token.
  int64_t patches = 0;             ///< Patches of a tile.
  int64_t image = 0;               ///< Longer side of a tile in pixels.
  int64_t patch = 0;               ///< Side of a patch in pixels.
  int64_t channels = 3;            ///< Colours per pixel.
  std::optional<int64_t> outputs;  ///< Rows of a tile that go to the projector; absent: its patches. LaVIN: 6.
  int64_t max_tiles = 1;           ///< Most tiles of one picture: 1, or 5 for LLaVA-NeXT (4 and the whole picture).
  int64_t rows_out() const { return outputs.value_or(patches); }  ///< Of a tile, into the projector.
  /// Most tiles' worth of patches that become rows: fewer if the map is scaled down (LLaVA-OneVision: 10 of 37 tiles).
  std::optional<int64_t> kept_tiles;
};

/// A chain of Linear layers by their widths: LLaVA-1.5-7B is {1024, 4096, 4096}, two products. Empty: none.
struct ProjectorFacts {
  std::vector<int64_t> widths;
};

/// A place that a plan can speak of: a stream and a layer in it.
struct SiteName {
  std::string stream = "decoder";
  int64_t layer = 0;
  auto operator<=>(const SiteName&) const = default;
};

/// An attention without weights (skipped and folded, or never trained): a plan must turn it off.
struct FixedSite {
  SiteName site;
  std::string attention = "self";  ///< `self` or `cross`.
  bool operator==(const FixedSite&) const = default;
};

/// An adapter that runs with each request, as far as its cost goes.
struct AdapterFacts {
  SiteName site;
  bool replaces_attention = false;  ///< A PIA, which runs before the feed-forward network. False: before q, k and v.
  int64_t rank = 0;
  int64_t groups = 2;  ///< Blocks of its up-projection.
};

/// LoRA that is not folded into its products, as far as its cost goes.
struct LowRankFacts {
  /// Which rows go through it.
  enum class Rows {
    query,         ///< Products of queries and outputs.
    key_value,     ///< Products of keys and values.
    feed_forward,  ///< Those of the feed-forward network.
    projected,     ///< Every patch: the projector's.
    last,          ///< The last row: the head's.
  };
  SiteName site;  ///< Of the first three.
  Rows rows = Rows::query;
  int64_t parameters = 0;  ///< Of the thin matrices; a row costs a multiply-add for each.
};

/// How many numbers the weights hold: decoder, head and embeddings; the tower's layers that run; projector.
struct ParameterCount {
  int64_t decoder = 0;     ///< Layers and the last norm.
  int64_t embeddings = 0;  ///< Tied ones are counted here, not as head.
  int64_t head = 0;
  int64_t tower = 0;
  int64_t projector = 0;
  int64_t adapters = 0;  ///< EAS's and LoRA, in none of the others.
  int64_t total() const { return decoder + embeddings + head + tower + projector + adapters; }
};

/// Layers of a stream besides the decoder and the vision tower (METER: `text`, `image`).
struct StreamFacts {
  int64_t layers = 0;
  bool cross_attention = false;
};

/// What a selector must see to decide. A prefill is never cut inside it.
enum class Scope { row, group, prompt };

/// What a selector reads besides the input of its layer.
enum class Reads {
  nothing,
  router,          ///< The layer's router.
  attention,       ///< How much the last prompt row attended to each row, in the last attention before the layer.
  text_attention,  ///< The same of the text rows that match the picture.
  keys,            ///< The keys of the last attention before the layer.
  change,          ///< The input of the layer before.
  text,            ///< The text rows after the group's first row.
  picture,         ///< What the vision tower left of each picture: rows have scores, and may be merged.
  given,           ///< Which vision tokens the question needs, as the request says.
};

/// A selector that the engine knows.
struct SelectorFacts {
  std::string name;
  Scope scope = Scope::group;
  Reads reads = Reads::nothing;
  bool class_token = false;  ///< Of the picture, it reads the attention of the vision tower's class token.
  bool merges = false;       ///< Before the decoder, rows that are kept take in rows that are not.
};

/// Every selector. Its function has the same name in routing/selector.cpp.
const std::vector<SelectorFacts>& known_selectors();

/// Most layers of a stream, and the largest width, that facts may claim.
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxWidth = int64_t{1} << 24;

/// What a plan has to know of a model; no tensors.
struct ModelFacts {
  std::string name = "model";  ///< For errors and tables.

  int64_t layers = 0;  ///< Decoder layers.
  int64_t hidden = 0;
  int64_t intermediate = 0;  ///< Inner width of the gated feed-forward network (three products).
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab = 0;
  bool cross_attention = false;  ///< The decoder has cross-attention.
  int64_t modality_rows = 0;     ///< Embeddings besides those of tokens: LaVIN's 2, of which one begins a prompt.

  std::optional<TowerFacts> tower;
  ProjectorFacts projector;
  std::map<std::string, StreamFacts> streams;  ///< Further streams by name.

  std::vector<SiteName> routers;             ///< Sites that own a router.
  bool routers_everywhere = false;           ///< A shape without weights: any layer may have a router.
  std::vector<FixedSite> fixed;              ///< Attentions that cannot run.
  std::vector<AdapterFacts> adapters;        ///< Of decoder and tower.
  std::vector<LowRankFacts> low_rank;        ///< LoRA anywhere.
  std::optional<ParameterCount> parameters;  ///< As the weights have them; absent for a shape without weights.
  std::vector<SelectorFacts> selectors = known_selectors();

  /// Layers of a stream (`decoder`, `vision_tower`, or one of `streams`); 0 when there is no such stream.
  int64_t layers_of(const std::string& stream) const;
  bool has_cross_attention(const std::string& stream) const;
  bool has_router(const std::string& stream, int64_t layer) const;
  /// The attention (`self` or `cross`) of this site has no weights to run.
  bool is_fixed(const std::string& stream, int64_t layer, const std::string& attention) const;
  /// The selector of this name, or null.
  const SelectorFacts* find_selector(const std::string& name) const;
};

/// Throws Error{bad_file} that names the model when a count is negative or beyond kMaxLayers or kMaxWidth.
void check(const ModelFacts& model);

/// Facts of a published shape: "llava-1.5-7b", "llava-1.5-13b" and "llava-next-7b" with routers everywhere, and
/// "lavin-7b" with the adapters of LaVIN-EAS everywhere, of which a plan runs some.
/// Throws Error{bad_request} with the names that exist.
ModelFacts shape_named(const std::string& name);

/// The names that shape_named() knows.
std::vector<std::string> shape_names();

}  // namespace lithe::plan

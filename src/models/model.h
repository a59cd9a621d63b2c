#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "image/heat_map.h"
#include "image/image.h"
#include "image/preprocess.h"
#include "models/generation_config.h"
#include "models/parts/decoder.h"
#include "models/parts/projector.h"
#include "models/parts/vision_tower.h"
#include "plan/facts.h"
#include "plan/plan.h"
#include "routing/batch.h"
#include "text/chat_template.h"
#include "text/message.h"
#include "text/tokenizer.h"

namespace lithe::models {

/// How weights are held; the arithmetic is float32 in any case.
enum class WeightStorage { as_in_file, float32, bfloat16, float16 };

struct LoadOptions {
  std::filesystem::path lora;  ///< A PEFT folder whose LoRA goes over the model (models/lora.h); empty: none.
  WeightStorage weights = WeightStorage::as_in_file;
  std::string device = "cpu";
  std::function<void(int64_t bytes_done, int64_t bytes_total)> progress;  ///< May be empty.
};

/// How the features of a picture's tiles become rows.
struct Packing {
  enum class Order {
    flat,           ///< Tile after tile.
    spatial,        ///< The whole picture, then the tiles as one map, row by row.
    spatial_unpad,  ///< The same without the map's black margins, and a newline row behind each row of the map.
  };
  Order order = Order::flat;
  std::optional<int64_t>
      max_patches;             ///< The map is scaled down to about this many tiles' worth of patches (original LLaVA).
  double shrink_above = 1.01;  ///< ... where its side is more than this times too long.
  bool rounds = false;  ///< transformers rounds the size of the map without margins where the original truncates.
};

/// One picture as rows of the prompt.
struct ImageRows {
  image::Views views;                       ///< What the tower saw, for heat maps.
  Tensor pixels;                            ///< [tiles, 3, S, S]
  Tensor features;                          ///< [tiles, tokens, width] out of the tower
  Tensor projected;                         ///< [tiles, tokens, hidden]
  Tensor rows;                              ///< [vision rows, hidden]: packed, newline rows included
  std::vector<routing::RowKind> kinds;      ///< [vision rows] vision or vision_high_res
  std::vector<image::HeatView> heat_views;  ///< Where the patches of each view stand among the rows.
};

/// How a prompt is written for a family: a Jinja template of the folder, or an original LLaVA conversation.
struct PromptStyle {
  std::optional<text::ChatTemplate> chat_template;
  std::string
      conversation;  ///< Used if there is no template; "chat_template": it was chosen in a conversation's place.
  text::Dialect dialect = text::Dialect::hf;
  std::vector<std::string> stop_strings;
  std::vector<int64_t> eos_ids;  ///< Ascending.

  /// Whether an answer ends with this token.
  bool ends(int64_t id) const { return std::binary_search(eos_ids.begin(), eos_ids.end(), id); }
};

/// Where a weight lies on disk, so that it can be written anew.
struct WeightOrigin {
  std::filesystem::path checkpoint;  ///< The folder.
  std::string name;                  ///< As the model's layout calls it.
  std::string in_file;               ///< As the checkpoint calls it: a base model under LoRA may lack parts of names.
};

/// LoRA that a model was opened with.
struct LoraUse {
  std::filesystem::path folder;
  int64_t products = 0;  ///< That have low-rank terms.
  int64_t lowest_rank = 0, highest_rank = 0;
  int64_t whole = 0;  ///< Tensors that the folder brings whole.
};

/// A loaded vision-language model: everything between a prompt with pictures and logits. Owned and used by one thread.
struct Model {
  std::string name;    ///< The folder's name.
  std::string family;  ///< "llava", "llava_next", "llava_original", ...
  std::filesystem::path folder;
  std::filesystem::path
      config_file;  ///< The config.json that governs: of the folder, or of a LoRA folder that has one.
  std::filesystem::path tower_folder;  ///< Of the original layout, the tower's own; empty where there is none.
  VisionTower tower;
  Projector projector;
  std::optional<Tensor> image_newline;  ///< [hidden]
  Packing packing;
  Decoder decoder;
  image::PreprocessConfig preprocess;
  std::optional<text::Tokenizer> tokenizer;  ///< Absent where the folder has none, and in random models.
  PromptStyle prompt;
  GenerationDefaults generation;
  plan::ModelFacts facts;
  plan::Plan plan;                              ///< plan.json, the published config keys, or dense.
  int64_t weight_bytes = 0;                     ///< As held.
  std::map<std::string, WeightOrigin> origins;  ///< By the names that `visit` gives; empty for random models.
  std::optional<LoraUse> lora;
  /// What was assumed of the folder, and what of it is not obeyed: sentences that a front end shows once.
  std::vector<std::string> notes;

  bool has_tower() const { return facts.tower.has_value(); }

  /// Picture to rows: views, tower, projector, packing. `plan` governs the tower; null: the model's own. `observer` is
  /// called after each layer of the tower. Throws Error{bad_request} if the model has no tower, and for pictures that
  /// cannot be resized.
  ImageRows encode_image(const image::Image& picture, const plan::Plan* plan = nullptr,
                         const routing::Observer& observer = {}) const;
  /// The prompt of a conversation: template or conversation style, ending where the answer begins. Throws
  /// Error{bad_request}.
  std::string render(const std::vector<text::Message>& messages) const;
};

/// A weight of a model that is only read: as WeightSlot.
struct WeightView {
  std::string name;
  const Tensor& tensor;
  const nn::Linear* linear;  ///< Null where the weight is no Linear's.
};

/// Every weight of decoder, tower and projector, and the newline row. Names are unique over all parts.
void visit(const Model& model, const std::function<void(const WeightView&)>& visitor);

/// Opens a model folder of any supported layout, or a PEFT folder over the base model that it names. Weights are
/// mapped, not copied, where their type is kept. Compares tensor names as sets and reports all faults at once. An
/// original config without `mm_vision_tower` opens as a decoder alone: no tower, no projector. Throws Error{bad_file}.
std::unique_ptr<Model> open_model(const std::filesystem::path& folder, const LoadOptions& options = {});

/// A model of a named shape ("llava-1.5-7b", "llava-next-7b", "llava-1.5-13b") with random weights, `layers` decoder
/// layers and `tower_layers` tower layers, for benchmarks: no tokenizer text makes sense.  Routers in every layer; the
/// plan is p-MoD's published schedule sampled at evenly spaced depths when layers < 32.
std::unique_ptr<Model> random_model(const std::string& shape, int64_t layers, int64_t tower_layers,
                                    WeightStorage weights, uint64_t seed);

}  // namespace lithe::models

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/loading.h"
#include "models/parts/decoder.h"
#include "models/prompting.h"
#include "models/vision.h"
#include "plan/facts.h"
#include "plan/plan.h"

namespace lithe::models {

/// How `Model::encode_image` encodes a picture.
struct EncodeOptions {
  int64_t pictures = 1;              ///< Of the whole prompt: some families prepare one picture alone in another way.
  const plan::Plan* plan = nullptr;  ///< Governs the tower; null: the model's own.
  routing::Observer observer;        ///< Called after each layer of the tower; may be empty.
};

/// A loaded vision-language model that generates: what sees, what answers, how it is asked. Owned and used by one
/// thread.
struct Model {
  std::string name;    ///< The folder's name.
  std::string family;  ///< "llava", "llava_next", "llava_original", ...
  std::filesystem::path folder;
  std::filesystem::path
      config_file;  ///< The config.json that governs: of the folder, or of a LoRA folder that has one.
  std::filesystem::path tower_folder;             ///< Of the original layout, the tower's own; empty if there is none.
  std::vector<std::filesystem::path> gguf_files;  ///< The text model, and the mmproj if there is one; empty: no GGUF.
  std::optional<Vision> vision;                   ///< Absent: the model answers without pictures only.
  Decoder decoder;
  Prompting prompting;
  plan::ModelFacts facts;
  plan::Plan plan;  ///< plan.json, the published config keys, or dense.
  Loaded loaded;
  /// What was assumed of the folder, and what of it is not obeyed: sentences that a front end shows once.
  std::vector<std::string> notes;

  /// `vision`. Throws Error{bad_request} if the model has none.
  const Vision& seeing() const;

  /// Picture to rows. Throws Error{bad_request} if the model has no tower, and for pictures that cannot be resized.
  ImageRows encode_image(const image::Image& picture, const EncodeOptions& options = {}) const;
};

/// A weight of a model that is only read.
struct HeldWeight {
  WeightName name;
  nn::Weight weight;         ///< What is not a matrix is one row here.
  const nn::Linear* linear;  ///< Null if the weight is not that of a Linear.
};

/// Every weight of decoder, tower and projector, and the newline row.
void visit(const Model& model, const std::function<void(const HeldWeight&)>& visitor);
/// The places of these weights, to be filled or changed.
void visit(Model& model, const WeightVisitor& visitor);

/// How most of the weights are stored, by their number: "bfloat16", "int4", ..
std::string main_storage(const Model& model);

/// A model of a named shape ("llava-1.5-7b", "llava-next-7b", "llava-1.5-13b") with random weights, `layers` decoder
/// layers and `tower_layers` tower layers, for benchmarks: no tokenizer text makes sense.  Routers in every layer; the
/// plan is p-MoD's published schedule sampled at evenly spaced depths when layers < 32.
std::unique_ptr<Model> random_model(const std::string& shape, int64_t layers, int64_t tower_layers,
                                    WeightStorage weights, uint64_t seed, const std::string& device = "cpu");

}  // namespace lithe::models

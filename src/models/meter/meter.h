#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "image/image.h"
#include "image/preprocess.h"
#include "models/loading.h"
#include "models/meter/heads.h"
#include "models/meter/streams.h"
#include "models/meter/text_encoder.h"
#include "models/parts/vision_tower.h"
#include "plan/facts.h"
#include "plan/plan.h"
#include "text/tokenizer.h"

namespace lithe::models {

/// What METER's config says besides the shapes of its parts.
struct MeterConfig {
  int64_t max_text = 40;  ///< Tokens of a text, with the two marks; longer texts are cut.
  /// Texts are padded to `max_text`, and the means of PIAs count the padding, as published METER-EAS was trained.
  /// False: no row of padding is ever computed. It makes no difference if no PIA runs.
  bool pads = false;
  std::vector<std::string> answers;  ///< What the head `vqa` tells apart, by class; empty if nothing says it.
};

/// METER (arXiv 2111.02387) and METER-EAS (arXiv 2403.15226): it classifies pairs of a text and a picture instead of
/// generating, so it stands beside `Model`. Its parts run through the same blocks, plans and executor. Owned and used
/// by one thread.
struct Meter {
  std::string name;
  std::filesystem::path folder;      ///< A model folder, or what holds the checkpoint file.
  std::filesystem::path checkpoint;  ///< Where the weights are: the folder, or a file.
  MeterConfig config;
  TextEncoder text_encoder;
  VisionTower tower;    ///< CLIP with its class token, without its last block.
  nn::Norm tower_norm;  ///< Of every row that the tower gives.
  Streams streams;
  Heads heads;
  std::optional<text::Tokenizer> tokenizer;  ///< Absent if the folder has none: texts are given as ids then.
  plan::ModelFacts facts;
  plan::Plan plan;  ///< plan.json, the skipped sites that the config or a published search names, or dense.
  Loaded loaded;
  std::vector<std::string> notes;

  /// The ids of a text, cut and padded as this model has it. Throws Error{bad_request} without a tokenizer.
  TextIds encode(const std::string& text) const;
  /// The same of ids that are there already, with their marks. No padding is among them.
  TextIds fitted(std::vector<int64_t> ids) const;

  /// A picture as the tower takes it, before it is a tensor (models/meter/pixels.h). Any thread may ask for it.
  image::PixelValues pixel_values(const image::Image& picture) const;

  /// Texts as rows of the stream `text`.
  TextRows read(std::span<const TextIds> texts) const;
  /// Pictures as rows of the stream `image`.  pixels: [pictures, 3, side, side] -> [pictures, rows, hidden]
  Tensor look(const Tensor& pixels) const;

  /// The streams under `plan`; null: the model's own. With a plan of Streams::for_poolers it takes less, and only
  /// FusedRows::pooled counts.
  FusedRows fuse(const TextRows& texts, const Tensor& images, std::span<const Pair> pairs,
                 const plan::Plan* plan = nullptr, const StreamObserver& observer = {}) const;
};

/// Every weight of all parts.
void visit(Meter& meter, const WeightVisitor& visitor);

/// What plans are checked by, as the parts say it.
plan::ModelFacts facts_of(const Meter& meter);

}  // namespace lithe::models

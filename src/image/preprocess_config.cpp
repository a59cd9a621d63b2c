#include <cmath>

#include "base/error.h"
#include "image/pinpoints.h"
#include "image/preprocess.h"

namespace lithe::image {
namespace {

constexpr int64_t kMaxSide = 8192;  // Of a vision tower's input.

int64_t checked_side(int64_t side, const JsonView& file, const char* key) {
  require(side > 0 && side <= kMaxSide, Fault::bad_file, file.source(), ": '", key, "' is ", side,
          " pixels, expected 1 to ", kMaxSide);
  return side;
}

Size read_sides(const JsonView& size, const char* key) {
  return {checked_side(size.integer("width"), size, key), checked_side(size.integer("height"), size, key)};
}

/// `size`: a number or {"shortest_edge"} keeps the shape, {"height", "width"} does not.
void read_size(const JsonView& file, PreprocessConfig& config) {
  if (!file.has("size")) {
    require(!config.do_resize, Fault::bad_file, file.source(), ": the key 'size' is missing");
  } else if (file.json()["size"].is_number()) {
    config.shortest_edge = checked_side(file.integer("size"), file, "size");
  } else if (const JsonView size = file.object("size"); size.has("shortest_edge")) {
    config.shortest_edge = checked_side(size.integer("shortest_edge"), file, "size");
  } else {
    config.exact_size = read_sides(size, "size");
  }
}

void read_crop_size(const JsonView& file, PreprocessConfig& config) {
  if (!file.has("crop_size")) {
    require(!config.do_centre_crop, Fault::bad_file, file.source(), ": the key 'crop_size' is missing");
    const int64_t edge = config.shortest_edge.value_or(0);
    config.crop = config.shortest_edge ? Size{edge, edge} : config.exact_size;
  } else if (file.json()["crop_size"].is_number()) {
    const int64_t side = checked_side(file.integer("crop_size"), file, "crop_size");
    config.crop = {side, side};
  } else {
    config.crop = read_sides(file.object("crop_size"), "crop_size");
  }
  require(config.crop.width > 0 && config.crop.height > 0, Fault::bad_file, file.source(),
          ": neither 'size' nor 'crop_size' says how large the vision tower's "
          "pictures are");
}

std::array<double, 3> read_triple(const JsonView& file, const char* key) {
  require(file.has(key), Fault::bad_file, file.source(), ": the key '", key, "' is missing");
  const Json& list = file.json()[key];
  require(list.is_array() && list.size() == 3, Fault::bad_file, file.source(), ": '", key,
          "' must be a list of 3 numbers");
  std::array<double, 3> triple{};
  for (std::size_t i = 0; i < 3; ++i) {
    require(list[i].is_number() && std::isfinite(list[i].get<double>()), Fault::bad_file, file.source(), ": '", key,
            "' must be a list of 3 numbers");
    triple[i] = list[i].get<double>();
  }
  return triple;
}

void read_normalisation(const JsonView& file, PreprocessConfig& config) {
  config.rescale_factor = config.do_rescale ? file.number("rescale_factor", 1.0 / 255.0) : 1.0;
  config.deviation = {1.0, 1.0, 1.0};
  if (!config.do_normalise) return;
  config.mean = read_triple(file, "image_mean");
  config.deviation = read_triple(file, "image_std");
  for (const double deviation : config.deviation) {
    require(deviation > 0, Fault::bad_file, file.source(), ": 'image_std' must be positive, got ", deviation);
  }
}

/// transformers tells by the processor's class and `do_pad` (which for LLaVA-NeXT means padding of batches).
Aspect aspect_of_processor(const JsonView& file, const PreprocessConfig& config) {
  const std::string type = file.text("image_processor_type", "");
  if (file.has("image_grid_pinpoints") || type.starts_with("LlavaNext")) return Aspect::anyres;
  if (type.starts_with("Llava") && file.boolean("do_pad", false)) return Aspect::pad;
  return config.shortest_edge ? Aspect::centre_crop : Aspect::squash;
}

}  // namespace

PreprocessConfig PreprocessConfig::from_json(const JsonView& whole, Dialect dialect) {
  const JsonView file = whole.has("image_processor") ? whole.object("image_processor") : whole;
  PreprocessConfig config;
  config.dialect = dialect;
  config.do_resize = file.boolean("do_resize", true);
  config.do_centre_crop = file.boolean("do_center_crop", true);
  config.do_rescale = file.boolean("do_rescale", true);
  config.do_normalise = file.boolean("do_normalize", true);
  const int64_t resample = file.integer("resample", static_cast<int64_t>(Resample::bicubic));
  require(resample >= 0 && resample <= static_cast<int64_t>(Resample::hamming), Fault::bad_file, file.source(),
          ": 'resample' is ", resample, ", expected one of PIL's filters 0 to 5");
  config.resample = static_cast<Resample>(resample);
  read_size(file, config);
  read_crop_size(file, config);
  read_normalisation(file, config);
  if (file.has("image_grid_pinpoints")) config.pinpoints = read_pinpoints(file, dialect, config.crop);
  config.alpha = dialect == Dialect::transformers ? Alpha::on_white : Alpha::drop;
  config.aspect = dialect == Dialect::transformers ? aspect_of_processor(file, config) : Aspect::centre_crop;
  if (config.aspect == Aspect::anyres && config.pinpoints.empty()) config.pinpoints = default_pinpoints();
  return config;
}

void PreprocessConfig::take_model_config(const JsonView& config) {
  if (config.has("image_grid_pinpoints")) pinpoints = read_pinpoints(config, dialect, crop);
  if (dialect == Dialect::transformers) return;
  const std::string ratio = config.text("image_aspect_ratio", "square");
  require(ratio == "square" || ratio == "pad" || ratio == "anyres", Fault::bad_file, config.source(),
          ": 'image_aspect_ratio' is '", ratio, "'; known are square, pad and anyres");
  // "square" is LLaVA's name for whatever the image processor does by itself.
  aspect = ratio == "pad" ? Aspect::pad : ratio == "anyres" ? Aspect::anyres : Aspect::centre_crop;
  require(aspect != Aspect::anyres || !pinpoints.empty(), Fault::bad_file, config.source(),
          ": 'image_aspect_ratio' is anyres, which needs 'image_grid_pinpoints', the sizes that a picture may be cut "
          "into; copy that key from the config.json of the published model");
}

}  // namespace lithe::image

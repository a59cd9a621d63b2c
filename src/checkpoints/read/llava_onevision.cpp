// LLaVA-OneVision as Hugging Face transformers stores it (llava-hf/llava-onevision-*): a SigLIP tower, a Qwen2 decoder,
// tiles of a picture that is alone in its prompt, packed into a map that is scaled down if it is too large. Several
// pictures in one prompt are not tiled. Videos are not read.
#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/conventions.h"
#include "checkpoints/read/hf_folder.h"

namespace lithe::models {
namespace {

/// LlavaOnevisionConfig.
HfDefaults onevision_defaults() {
  return {.decoder = "qwen2",
          .tower = {{"model_type", "siglip_vision_model"},
                    {"hidden_size", 1024},
                    {"intermediate_size", 4096},
                    {"num_hidden_layers", 24},
                    {"num_attention_heads", 16},
                    {"image_size", 336},
                    {"patch_size", 14}},
          .feature_layer = -1,
          .select_strategy = "full"};
}

/// LlavaOnevisionImageProcessor.
Json processor_defaults() {
  return {{"do_center_crop", false},
          {"resample", 3},
          {"size", {{"height", 384}, {"width", 384}}},
          {"image_mean", {0.48145466, 0.4578275, 0.40821073}},
          {"image_std", {0.26862954, 0.26130258, 0.27577711}},
          {"image_grid_pinpoints", "(1x1),...,(6x6)"}};
}

}  // namespace

std::unique_ptr<Model> open_llava_onevision(const Source& source) {
  HfFolder folder(source, "llava_onevision", onevision_defaults());
  Vision& vision = folder.vision();
  vision.preprocess = read_processor(source.folder, processor_defaults());
  vision.preprocess.aspect_among_several = image::Aspect::pad;
  pack_like_next(vision);
  constexpr const char* kAspect = "vision_aspect_ratio";
  vision.packing.max_patches = most_patches(source.config, kAspect, "anyres_max_9");
  require(vision.packing.max_patches.has_value(), Fault::bad_file, source.config.source(), ": '", kAspect, "' is ",
          in_quotes(source.config.text(kAspect, "")), ", expected anyres_max_N with N from 1 to 4096");
  vision.packing.shrink_above = 1.1;
  follow_template(source.config, folder.model());
  folder.load();
  return folder.complete();
}

}  // namespace lithe::models

// LLaVA-1.5 and LLaVA-NeXT as Hugging Face transformers stores them (llava-hf/*).
#include "checkpoints/read/config.h"
#include "checkpoints/read/conventions.h"
#include "checkpoints/read/hf_folder.h"
#include "image/pinpoints.h"

namespace lithe::models {
namespace {

/// CLIP ViT-L/14 at 336 pixels.
HfDefaults hf_defaults() {
  return {.tower = {{"model_type", "clip_vision_model"},
                    {"hidden_size", 1024},
                    {"intermediate_size", 4096},
                    {"num_hidden_layers", 24},
                    {"num_attention_heads", 16},
                    {"image_size", 336},
                    {"patch_size", 14}}};
}

/// A folder that `convert` made of LLaVA's own goes on to follow LLaVA.
void follow_llava_again(const JsonView& conventions, Model& model) {
  model.vision->newline.reset();
  model.vision->packing = {};
  model.prompting = {};
  model.notes.clear();
  follow_llava(conventions, model);
  follow_conversation({conventions.text("conversation")}, conventions.source(), model);
}

/// Rows after `vocab` were added so that transformers finds an embedding for "<image>"; no answer may hold them.
void drop_added_rows(const JsonView& conventions, Decoder& decoder) {
  decoder.config.vocab = size_in(conventions, "vocab_size", decoder.config.vocab, decoder.config.vocab);
  decoder.embeddings = decoder.embeddings.first_rows(decoder.config.vocab);
  decoder.head.weight = decoder.head.weight.first_rows(decoder.config.vocab);
  tie(decoder);
  if (decoder.head.low_rank) decoder.head.low_rank->b = decoder.head.low_rank->b.first_rows(decoder.config.vocab);
}

/// transformers cuts pictures by the processor's pinpoints, and lays out the tokens by those of the config.
void compare_pinpoints(const JsonView& config, Model& model) {
  if (!config.has("image_grid_pinpoints")) return;
  const image::PreprocessConfig& used = model.vision->preprocess;
  if (image::read_pinpoints(config, image::Dialect::transformers, used.crop) == used.pinpoints) return;
  model.notes.push_back(concat(config.source(),
                               ": has other image_grid_pinpoints than the processor's file, which are "
                               "used; give both files the same"));
}

}  // namespace

std::unique_ptr<Model> open_llava_hf(const Source& source) {
  const bool next = source.config.text("model_type") == "llava_next";
  HfFolder folder(source, next ? "llava_next" : "llava", hf_defaults());
  Vision& vision = folder.vision();
  vision.preprocess = read_processor(source.folder);
  if (next) pack_like_next(vision);
  follow_template(source.config, folder.model());
  const std::optional<JsonView> conventions = read_conventions(source.config, "llava");
  if (conventions)
    follow_llava_again(*conventions, folder.model());
  else if (next)
    compare_pinpoints(source.config, folder.model());
  folder.load();
  if (conventions) drop_added_rows(*conventions, folder.model().decoder);
  return folder.complete();
}

}  // namespace lithe::models

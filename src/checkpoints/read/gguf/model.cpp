#include "checkpoints/read/gguf/model.h"

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/family.h"
#include "checkpoints/read/gguf/decoder.h"
#include "checkpoints/read/gguf/files.h"
#include "checkpoints/read/gguf/names.h"
#include "checkpoints/read/gguf/prompting.h"
#include "checkpoints/read/gguf/tensors.h"
#include "checkpoints/read/gguf/vision.h"
#include "checkpoints/read/lora.h"
#include "checkpoints/read/weights.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

void refuse_parts(const io::GgufFile& file) {
  const int64_t parts = file.integer("split.count", 1);
  require(parts <= 1, Fault::bad_file, file.file(), ": is one of ", parts,
          " parts of a model; join them with `llama-gguf-split --merge`, and give the whole file");
}

void refuse_whole_tensors(const fs::path& lora) {
  if (lora.empty()) return;
  const int64_t whole = LoraFolder::open(lora).whole();
  require(whole == 0, Fault::bad_file, lora.string(), ": brings ", whole,
          " tensors that were trained whole, which cannot go over a GGUF model; put it over the original model");
}

const io::Checkpoint& adopt(WeightLoader& loader, GgufTensors tensors) {
  return loader.adopt(std::move(tensors.checkpoint), std::move(tensors.packed));
}

void take_decoder(WeightLoader& loader, const io::Checkpoint& checkpoint, Decoder& decoder) {
  visit(decoder, [&](const WeightSlot& slot) {
    // A head that LoRA adapts is no longer the embeddings, whose tensor it starts from.
    const std::string name = gguf_name(slot.name);
    const bool tied = slot.name.role == Role::head && !checkpoint.contains(name);
    loader.take(checkpoint, tied ? gguf_name(slot.name.with(Role::embeddings)) : name, slot);
  });
  loader.ignore(checkpoint, "rope_freqs.weight");  // read with the metadata
  loader.refuse_others(checkpoint);
}

void take_vision(WeightLoader& loader, const io::Checkpoint& checkpoint, Vision& vision, bool swapped) {
  visit(vision, [&](const WeightSlot& slot) { loader.take(checkpoint, gguf_name(slot.name, swapped), slot); });
  for (const char* const unused : {"v.post_ln.weight", "v.post_ln.bias"}) loader.ignore(checkpoint, unused);
  loader.ignore(checkpoint, gguf_name(kNewline));
  const VisionTowerConfig& tower = vision.tower.config;
  for (int64_t layer = tower.layers_run; layer < tower.layers; ++layer)
    loader.ignore(checkpoint, gguf_name({.part = Part::tower, .layer = layer}));
  loader.refuse_others(checkpoint);
}

/// The mmproj that goes with a text model; absent if there is none, or only one of another model beside it.
std::optional<io::GgufFile> open_mmproj(const GgufFiles& files, Model& model) {
  if (files.mmproj.empty()) return std::nullopt;
  io::GgufFile mmproj = io::GgufFile::open(files.mmproj);
  if (files.found && !fits_decoder(mmproj, model.decoder.config.hidden)) {
    model.notes.push_back(concat(files.mmproj.string(), ": was made for another model than ",
                                 printable(files.text.filename().string()), ", so the model answers without pictures"));
    return std::nullopt;
  }
  model.gguf_files.push_back(files.mmproj);
  return mmproj;
}

}  // namespace

std::unique_ptr<Model> open_gguf(const fs::path& path, const LoadOptions& options) {
  const GgufFiles files = find_gguf_files(path, options.mmproj);
  const io::GgufFile text = io::GgufFile::open(files.text);
  refuse_parts(text);
  refuse_whole_tensors(options.lora);
  auto model = std::make_unique<Model>();
  model->name = files.text.stem().string();
  model->family = "gguf";
  model->folder = files.text.parent_path();
  model->config_file = files.text;
  model->gguf_files = {files.text};
  DecoderConfig decoder = decoder_of(text);
  WeightLoader loader(options, decoder.tied_embeddings);
  decoder.tied_embeddings = decoder.tied_embeddings && !loader.adapts_head();
  model->decoder = shaped_decoder(decoder);
  take_decoder(loader, adopt(loader, tensors_of(text, {interleaves(text), decoder.head_dim})), model->decoder);
  if (const auto mmproj = open_mmproj(files, *model)) {
    read_vision(*mmproj, *model);
    const bool swapped = swaps_feed_forward(*mmproj, model->vision->tower.config);
    take_vision(loader, adopt(loader, tensors_of(*mmproj)), *model->vision, swapped);
  }
  model->loaded = loader.load();
  tie(model->decoder);
  read_prompting(text, *model);
  const Json config = {{"eos_token_id", eos_ids_of(text, *model)}};
  complete(*model, {model->folder, JsonView(config, files.text.string()), options}, std::nullopt);
  return model;
}

}  // namespace lithe::models

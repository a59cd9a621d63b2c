#include "models/model.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <cstring>

#include "base/error.h"
#include "models/packing.h"
#include "text/conversation.h"

namespace lithe::models {
namespace {

/// -> [tiles, channels, side, side]
Tensor tensor_of(const image::PixelValues& pixels) {
  Tensor tensor = at::empty({pixels.tiles, pixels.channels, pixels.side, pixels.side}, at::kFloat);
  std::memcpy(tensor.mutable_data_ptr<float>(), pixels.values.data(), pixels.values.size() * sizeof(float));
  return tensor;
}

}  // namespace

void visit(const Model& model, const std::function<void(const WeightView&)>& visitor) {
  // The parts' own visits hand out places to fill; this one lets them be read only.
  auto& parts = const_cast<Model&>(model);
  const WeightVisitor read = [&](const WeightSlot& slot) { visitor({slot.name, slot.tensor, slot.linear}); };
  visit(parts.decoder, read);
  if (model.tower.config.layers > 0) visit(parts.tower, read);
  visit(parts.projector, read);
  if (model.image_newline) visitor({"image_newline", *model.image_newline, nullptr});
}

ImageRows Model::encode_image(const image::Image& picture, const plan::Plan* governing,
                              const routing::Observer& observer) const {
  require(has_tower(), Fault::bad_request, name, ": this model has no vision tower, ask without pictures");
  ImageRows image{.views = image::make_views(picture, preprocess)};
  image.pixels = tensor_of(image::normalise(image.views, preprocess));
  image.features = tower.features(image.pixels.to(tower.positions.device()), governing ? governing : &plan, observer);
  const int64_t tiles = image.features.size(0), tokens = image.features.size(1);
  const Tensor projected = projector(image.features.view({tiles * tokens, tower.config.width}));
  image.projected = projected.view({tiles, tokens, projected.size(1)});
  pack(packing, tower.config, image_newline, image);
  return image;
}

std::string Model::render(const std::vector<text::Message>& messages) const {
  if (!prompt.chat_template) return text::render_conversation(prompt.conversation, messages, true);
  text::TemplateOptions options;
  const auto text_of = [&](const std::optional<int64_t>& id) { return id ? tokenizer->token_of(*id) : ""; };
  if (tokenizer) {
    options.bos_token = tokenizer->bos_text();
    options.eos_token = tokenizer->eos_text();
    options.unk_token = text_of(tokenizer->unk());
    options.pad_token = text_of(tokenizer->pad());
  }
  std::string text = prompt.chat_template->render(messages, options);
  // The tokenizer adds BOS by itself, so one that the template wrote would be a second.
  const bool own_bos = prompt.dialect == text::Dialect::original && tokenizer && tokenizer->adds_bos() &&
                       text.starts_with(options.bos_token);
  if (own_bos) text.erase(0, options.bos_token.size());
  return text;
}

}  // namespace lithe::models

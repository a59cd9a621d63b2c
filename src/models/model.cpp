#include "models/model.h"

#include "base/error.h"

namespace lithe::models {

void visit(const Model& model, const std::function<void(const HeldWeight&)>& visitor) {
  // The parts' own visits hand out places to fill; this one lets them be read only.
  auto& parts = const_cast<Model&>(model);
  const WeightVisitor read = [&](const WeightSlot& slot) { visitor({slot.name, held_at(slot.place), slot.linear}); };
  visit(parts.decoder, read);
  if (parts.vision) visit(*parts.vision, read);
}

const Vision& Model::seeing() const {
  require(vision.has_value(), Fault::bad_request, name, ": this model has no vision tower, ask without pictures");
  return *vision;
}

ImageRows Model::encode_image(const image::Image& picture, const EncodeOptions& options) const {
  const Vision& sees = seeing();
  return sees.encode(sees.prepare(picture, options.pictures), options.plan ? options.plan : &plan, options.observer);
}

}  // namespace lithe::models

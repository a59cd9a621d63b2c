#include "models/model.h"

#include <algorithm>
#include <map>

#include "base/error.h"

namespace lithe::models {

void visit(const Model& model, const std::function<void(const HeldWeight&)>& visitor) {
  const WeightVisitor read = [&](const WeightSlot& slot) { visitor({slot.name, held_at(slot.place), slot.linear}); };
  visit(const_cast<Model&>(model), read);  // the places are only read
}

void visit(Model& model, const WeightVisitor& visitor) {
  visit(model.decoder, visitor);
  if (model.vision) visit(*model.vision, visitor);
}

std::string main_storage(const Model& model) {
  std::map<std::string, int64_t> numbers;
  visit(model, [&](const HeldWeight& held) {
    if (held.weight.defined()) numbers[held.weight.storage()] += held.weight.count();
  });
  const auto most = std::max_element(numbers.begin(), numbers.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == numbers.end() ? "float32" : most->first;
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

#include "api/features.h"

#include <c10/core/InferenceMode.h>

#include "models/model.h"
#include "session/finite.h"

namespace lithe::api {
namespace {

std::vector<float> values_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kCPU, at::kFloat).contiguous();
  const float* const data = flat.const_data_ptr<float>();
  return {data, data + flat.numel()};
}

}  // namespace

PictureFeatures features_of(const models::Model& model, const image::Image& picture) {
  const c10::InferenceMode no_gradients;
  const models::ImageRows image = model.encode_image(picture);
  session::require_finite(model, image.rows, "the features of the picture");
  return {.tiles = image.features.size(0),
          .tokens = image.features.size(1),
          .width = image.features.size(2),
          .tower = values_of(image.features),
          .rows = image.rows.size(0),
          .hidden = image.rows.size(1),
          .projected = values_of(image.rows)};
}

}  // namespace lithe::api

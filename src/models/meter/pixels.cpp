#include "models/meter/pixels.h"

#include <ATen/ops/from_blob.h>

#include <array>
#include <utility>
#include <vector>

#include "image/geometry.h"
#include "image/preprocess.h"

namespace lithe::models {
namespace {

/// Of OpenAI's CLIP.
constexpr std::array<double, 3> kMean{0.48145466, 0.4578275, 0.40821073};
constexpr std::array<double, 3> kDeviation{0.26862954, 0.26130258, 0.27577711};

/// Where torchvision's CenterCrop begins: it rounds half to even.
int64_t crop_start(int64_t side, int64_t kept) {
  const int64_t margin = side - kept, half = margin / 2;
  return margin % 2 == 0 ? half : half + half % 2;
}

}  // namespace

image::PixelValues meter_pixel_values(const image::Image& picture, int64_t side) {
  const image::Size scaled = image::shortest_edge_size(picture.size(), side);
  const image::Rect middle{crop_start(scaled.width, side), crop_start(scaled.height, side), side, side};
  image::Views views;
  views.tiles.push_back(image::resize(picture, scaled, image::Resample::bicubic, middle));
  views.original = picture.size();
  image::PreprocessConfig numbers;
  numbers.crop = {side, side};
  numbers.rescale_factor = 1.0 / 255.0;
  numbers.mean = kMean;
  numbers.deviation = kDeviation;
  return image::normalise(views, numbers);
}

at::Tensor pixel_tensor(std::shared_ptr<const image::PixelValues> values) {
  const std::vector<int64_t> shape{values->tiles, values->channels, values->size.height, values->size.width};
  auto* const data = const_cast<float*>(values->values.data());  // a tensor that is only read
  return at::from_blob(
      data, shape, [values = std::move(values)](void*) {}, at::TensorOptions(at::kFloat));
}

at::Tensor meter_pixels(const image::Image& picture, int64_t side) {
  return pixel_tensor(std::make_shared<const image::PixelValues>(meter_pixel_values(picture, side)));
}

}  // namespace lithe::models

#include "image/view_sizes.h"

#include "image/geometry.h"

namespace lithe::image {

Aspect aspect_among(const PreprocessConfig& config, int64_t pictures) {
  return pictures > 1 ? config.aspect_among_several.value_or(config.aspect) : config.aspect;
}

Size plain_size(Size picture, const PreprocessConfig& config) {
  if (!config.do_resize) return picture;
  return config.shortest_edge ? shortest_edge_size(picture, *config.shortest_edge) : config.exact_size;
}

Size squashed_size(const PreprocessConfig& config) {
  if (config.shortest_edge) return {*config.shortest_edge, *config.shortest_edge};
  return config.do_resize ? config.exact_size : config.crop;
}

Size grid_of(Size canvas, const PreprocessConfig& config) {
  return {canvas.width / config.crop.width, canvas.height / config.crop.height};
}

}  // namespace lithe::image

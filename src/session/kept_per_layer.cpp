#include "session/kept_per_layer.h"

#include <cstddef>

namespace lithe::session {

std::vector<int64_t> kept_per_layer(const Answer& answer) {
  std::vector<int64_t> kept(answer.cache.rows_after_prefill.size(), answer.timings.vision_rows);
  for (const KeptMap& map : answer.kept) {
    for (const image::LayerKept& layer : map.layers) kept[static_cast<std::size_t>(layer.layer)] = 0;
  }
  for (const KeptMap& map : answer.kept) {
    for (const image::LayerKept& layer : map.layers)
      kept[static_cast<std::size_t>(layer.layer)] += static_cast<int64_t>(layer.kept.size());
  }
  return kept;
}

}  // namespace lithe::session

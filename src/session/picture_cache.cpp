#include "session/picture_cache.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "models/picture_choice.h"

namespace lithe::session {
namespace {

int64_t bytes_of(const models::PackedRows& rows) {
  int64_t bytes = static_cast<int64_t>(rows.rows.nbytes() + rows.kinds.size() + rows.scores.size() * sizeof(float));
  for (const image::HeatView& view : rows.heat_views) bytes += static_cast<int64_t>(view.picture.rgb.size());
  return bytes;
}

}  // namespace

/// A rule of the decoder that reads what the tower saw may merge rows, and which ones depends on the rules around it.
std::vector<plan::LayerPlan> layers_before_decoder(const plan::Plan& plan) {
  if (models::reads_pictures(&plan)) return plan.layers;
  std::vector<plan::LayerPlan> layers;
  std::copy_if(plan.layers.begin(), plan.layers.end(), std::back_inserter(layers),
               [](const plan::LayerPlan& layer) { return layer.stream == "vision_tower"; });
  return layers;
}

PictureKey::PictureKey(const Digest& content, std::string salt, const plan::Plan& plan, uint64_t lora)
    : content_(content), salt_(std::move(salt)), lora_(lora), layers_(layers_before_decoder(plan)) {}

PictureCache::Rows PictureCache::find(const PictureKey& key) {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
  if (found == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found);
  return found->rows;
}

void PictureCache::insert(const PictureKey& key, Rows rows) {
  const int64_t more = bytes_of(*rows);
  if (more > allowed_bytes_ || find(key)) return;
  forget_down_to(allowed_bytes_ - more);
  entries_.push_front({key, std::move(rows), more});
  bytes_ += more;
}

void PictureCache::allow(int64_t bytes) {
  allowed_bytes_ = std::clamp<int64_t>(bytes, 0, most_bytes_);
  forget_down_to(allowed_bytes_);
}

void PictureCache::forget_down_to(int64_t bytes) {
  while (bytes_ > bytes) {
    bytes_ -= entries_.back().bytes;
    entries_.pop_back();
  }
}

PictureCache::Rows rows_to_hold(models::PackedRows rows) {
  if (rows.rows.storage().nbytes() > rows.rows.nbytes()) rows.rows = rows.rows.clone();
  return std::make_shared<const models::PackedRows>(std::move(rows));
}

}  // namespace lithe::session

#include "session/kept_recorder.h"

#include <algorithm>
#include <iterator>

#include "session/generation.h"

namespace lithe::session {

KeptRecorder::KeptRecorder(const PromptRows& prompt) : rows_(prompt.rows()), maps_(prompt.images.size()) {
  for (size_t i = 0; i < maps_.size(); ++i) {
    maps_[i].views = prompt.images[i].heat_views;
    pictures_.push_back({prompt.image_first_row[i], prompt.images[i].rows.size(0)});
  }
}

void KeptRecorder::record(const routing::LayerReport& report, size_t sequence) {
  const std::vector<int64_t> ran = positions_run(report, sequence);
  rows_run_.push_back(static_cast<int64_t>(ran.size()));
  if (static_cast<int64_t>(ran.size()) == rows_) return;
  for (size_t i = 0; i < maps_.size(); ++i) {
    const auto [first, count] = pictures_[i];
    image::LayerKept kept{.layer = report.layer, .kept = {}, .total = count};
    const auto begin = std::lower_bound(ran.begin(), ran.end(), first),
               end = std::lower_bound(ran.begin(), ran.end(), first + count);
    std::transform(begin, end, std::back_inserter(kept.kept), [first](int64_t position) { return position - first; });
    maps_[i].layers.push_back(std::move(kept));
  }
}

void KeptRecorder::restart() {
  for (KeptMap& map : maps_) map.layers.clear();
  rows_run_.clear();
}

}  // namespace lithe::session

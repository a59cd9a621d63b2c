#include "session/kept_recorder.h"

#include <algorithm>
#include <iterator>

#include "session/generation.h"

namespace lithe::session {
namespace {

/// Positions whose keys and values a layer computed (without them nothing is cached), but which it did not run in full.
std::vector<int64_t> offered_only(const routing::LayerReport& report, size_t sequence,
                                  const std::vector<int64_t>& ran) {
  const std::vector<int64_t> computed = positions_in(report.rows->key_value, report, sequence);
  std::vector<int64_t> rest;
  std::set_difference(computed.begin(), computed.end(), ran.begin(), ran.end(), std::back_inserter(rest));
  return rest;
}

/// The positions of one picture, counted from its first.
std::vector<int64_t> within(const std::vector<int64_t>& positions, int64_t first, int64_t count) {
  std::vector<int64_t> inside;
  for (const int64_t position : positions) {
    if (position >= first && position < first + count) inside.push_back(position - first);
  }
  return inside;
}

}  // namespace

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
  const std::vector<int64_t> offered = offered_only(report, sequence, ran);
  for (size_t i = 0; i < maps_.size(); ++i) {
    const auto [first, count] = pictures_[i];
    maps_[i].layers.push_back({.layer = report.layer,
                               .kept = within(ran, first, count),
                               .total = count,
                               .offered = within(offered, first, count)});
  }
}

void KeptRecorder::restart() {
  for (KeptMap& map : maps_) map.layers.clear();
  rows_run_.clear();
}

}  // namespace lithe::session

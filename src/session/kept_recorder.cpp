#include "session/kept_recorder.h"

#include <algorithm>
#include <iterator>
#include <utility>

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

void append(std::vector<int64_t>& all, const std::vector<int64_t>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

}  // namespace

LayerRun LayerRun::first(int64_t rows) const {
  return {within(ran, 0, rows), within(offered, 0, rows)};
}

KeptRecorder::KeptRecorder(const PromptRows& prompt) : rows_(prompt.rows()) {
  for (size_t i = 0; i < prompt.images.size(); ++i) {
    const models::ImageRows& picture = prompt.images[i];
    pictures_.push_back({picture.heat_views, prompt.image_first_row[i], picture.rows.size(0)});
  }
}

void KeptRecorder::begin_after(std::vector<LayerRun> runs) {
  held_ = std::move(runs);
}

void KeptRecorder::record(const routing::LayerReport& report, size_t sequence) {
  const std::vector<int64_t> ran = positions_run(report, sequence);
  LayerRun run;
  if (!held_.empty()) run = held_[static_cast<size_t>(report.layer)];
  append(run.ran, ran);
  const std::vector<int64_t>& offsets = report.batch->offsets;
  if (std::ssize(ran) < offsets[sequence + 1] - offsets[sequence])
    append(run.offered, offered_only(report, sequence, ran));
  runs_.push_back(std::move(run));
}

std::vector<KeptMap> KeptRecorder::take_maps() {
  std::vector<KeptMap> maps;
  for (Picture& picture : pictures_) {
    KeptMap& map = maps.emplace_back();
    map.views = std::move(picture.views);
    for (size_t layer = 0; layer < runs_.size(); ++layer) {
      const LayerRun& run = runs_[layer];
      if (std::ssize(run.ran) == rows_) continue;
      map.layers.push_back({.layer = static_cast<int64_t>(layer),
                            .kept = within(run.ran, picture.first, picture.count),
                            .total = picture.count,
                            .offered = within(run.offered, picture.first, picture.count)});
    }
  }
  return maps;
}

std::vector<int64_t> KeptRecorder::rows_run() const {
  std::vector<int64_t> rows;
  for (const LayerRun& run : runs_) rows.push_back(std::ssize(run.ran));
  return rows;
}

}  // namespace lithe::session

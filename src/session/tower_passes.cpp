#include "session/tower_passes.h"

#include <utility>

#include "session/errors.h"

namespace lithe::session {

void TowerPasses::add(PicturesInTower& request, models::PreparedImage picture) {
  const int64_t tiles = picture.pixels.tiles;
  if (tiles_ + tiles > most_tiles_) run();
  pictures_.push_back({&request, request.added++, std::make_shared<const models::PreparedImage>(std::move(picture))});
  tiles_ += tiles;
}

void TowerPasses::run() {
  tiles_ = 0;
  run(std::exchange(pictures_, {}));
}

/// If a pass fails, its pictures run alone, so that no request fails because of another's picture.
void TowerPasses::run(std::vector<Picture> pictures) {
  while (true) {
    std::erase_if(pictures, [](const Picture& picture) { return picture.request->failure != nullptr; });
    if (pictures.empty()) return;
    try {
      return naming_failures([&] { pass(pictures); });
    } catch (const Cancelled&) {  // of a request that says so itself by now; the others run again
    } catch (const Error& error) {
      if (pictures.size() == 1) {
        pictures.front().request->failure = std::current_exception();
        return;
      }
      for (Picture& picture : pictures) run({std::move(picture)});
      return;
    }
  }
}

void TowerPasses::pass(const std::vector<Picture>& pictures) const {
  const models::Vision& vision = model_.seeing();
  const auto layers = static_cast<int64_t>(vision.tower.blocks.size());
  const routing::Observer observer = [&](const routing::LayerReport& report) {
    bool goes_on = true;
    for (const Picture& picture : pictures) {
      PicturesInTower& request = *picture.request;
      try {
        if (!request.failure) request.watch.layer(report.layer + 1, layers, picture.item, request.pictures);
      } catch (const Cancelled&) {
        request.failure = std::current_exception();
      }
      goes_on = goes_on && !request.failure;
    }
    if (!goes_on) throw Cancelled();
  };
  std::vector<models::TowerInput> inputs;
  for (const Picture& picture : pictures) inputs.push_back({picture.image, picture.request->plan});
  std::vector<models::ImageRows> all = vision.encode(inputs, observer);
  for (size_t i = 0; i < pictures.size(); ++i) {
    PicturesInTower& request = *pictures[i].request;
    models::ImageRows rows;
    static_cast<models::PackedRows&>(rows) = std::move(all[i]);  // and nothing else of the picture
    request.rows.push_back(std::move(rows));
    try {
      request.length.add(request.rows.back());
    } catch (const Error&) {
      request.failure = std::current_exception();
    }
  }
}

}  // namespace lithe::session

#include "session/tower_passes.h"

#include <algorithm>
#include <utility>

#include "models/lora_over.h"
#include "session/errors.h"

namespace lithe::session {
namespace {

bool changes_pictures(const PicturesInTower& request) {
  return request.lora && request.lora->changes_pictures;
}

}  // namespace

void TowerPasses::add(PicturesInTower& request, std::shared_ptr<const PreparedPicture> picture) {
  const Taker taker{&request, request.added++};
  request.contents.push_back(picture->content);
  std::optional<PictureKey> key;
  if (picture->content)
    key.emplace(*picture->content, request.salt, *request.plan, changes_pictures(request) ? request.lora->id : 0);
  if (key && take_known(taker, *key)) return;
  const int64_t tiles = picture->pixels.tiles;
  if (tiles_ + tiles > most_tiles_) run();
  pictures_.push_back({{taker}, std::move(picture), std::move(key)});
  tiles_ += tiles;
}

/// Whether the picture need not run for this taker.
bool TowerPasses::take_known(const Taker& taker, const PictureKey& key) {
  ++count_.asked;
  const PictureCache::Rows known = cache_.find(key);
  const auto waiting =
      std::find_if(pictures_.begin(), pictures_.end(), [&](const Picture& picture) { return picture.key == key; });
  if (known) {
    give(*known, taker);
  } else if (waiting != pictures_.end()) {
    waiting->takers.push_back(taker);
  } else {
    return false;
  }
  ++count_.found;
  return true;
}

void TowerPasses::run() {
  tiles_ = 0;
  run(std::exchange(pictures_, {}));
}

bool TowerPasses::wanted(const Picture& picture) {
  return std::any_of(picture.takers.begin(), picture.takers.end(),
                     [](const Taker& taker) { return !taker.request->failure; });
}

/// If a pass fails, its pictures run alone, so that no request fails because of another's picture.
void TowerPasses::run(std::vector<Picture> pictures) {
  while (true) {
    std::erase_if(pictures, [](const Picture& picture) { return !wanted(picture); });
    if (pictures.empty()) return;
    try {
      return naming_failures([&] { pass(pictures); });
    } catch (const Cancelled&) {  // of requests that say so themselves by now; the others run again
    } catch (const Error& error) {
      if (pictures.size() == 1) {
        for (const Taker& taker : pictures.front().takers) {
          if (!taker.request->failure) taker.request->failure = std::current_exception();
        }
        return;
      }
      for (Picture& picture : pictures) {
        std::vector<Picture> alone;
        alone.push_back(std::move(picture));
        run(std::move(alone));
      }
      return;
    }
  }
}

void TowerPasses::give(const models::PackedRows& rows, const Taker& taker) {
  PicturesInTower& request = *taker.request;
  if (request.failure) return;
  models::ImageRows& own = request.rows[static_cast<size_t>(taker.item)];
  static_cast<models::PackedRows&>(own) = rows;  // and nothing else of the picture
  try {
    request.length.add(own);
  } catch (const Error&) {
    request.failure = std::current_exception();
  }
}

void TowerPasses::pass(const std::vector<Picture>& pictures) {
  const models::Vision& vision = model_.seeing();
  const auto layers = static_cast<int64_t>(vision.tower.blocks.size());
  const routing::Observer observer = [&](const routing::LayerReport& report) {
    for (const Picture& picture : pictures) {
      for (const auto& [request, item] : picture.takers) {
        try {
          if (!request->failure) request->watch.layer(report.layer + 1, layers, item, request->pictures);
        } catch (const Cancelled&) {
          request->failure = std::current_exception();
        }
      }
    }
    if (!std::all_of(pictures.begin(), pictures.end(), wanted)) throw Cancelled();
  };
  std::vector<models::TowerInput> inputs;
  for (const Picture& picture : pictures) {
    const PicturesInTower& request = *picture.takers.front().request;
    inputs.push_back(
        {.image = picture.image, .plan = request.plan, .lora = request.lora ? request.lora->of_pictures() : nullptr});
  }
  std::vector<PictureCache::Rows> made;
  for (models::ImageRows& rows : vision.encode(inputs, observer)) {
    const bool held = pictures[made.size()].key && cache_.on();
    models::PackedRows& packed = rows;
    made.push_back(held ? rows_to_hold(std::move(packed))
                        : std::make_shared<const models::PackedRows>(std::move(packed)));
  }
  for (size_t i = 0; i < pictures.size(); ++i) {
    for (const Taker& taker : pictures[i].takers) give(*made[i], taker);
    if (pictures[i].key) cache_.insert(*pictures[i].key, made[i]);
  }
}

}  // namespace lithe::session

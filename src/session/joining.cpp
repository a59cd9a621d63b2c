#include "session/joining.h"

#include <c10/core/InferenceMode.h>

#include <deque>
#include <iterator>
#include <utility>

#include "base/clock.h"
#include "models/lora_over.h"
#include "session/device_wait.h"
#include "session/errors.h"
#include "session/needed.h"

namespace lithe::session {
namespace {

/// The next picture of the request at this place. Throws PictureError if it is refused.
ComingPicture::Made take_picture(const PicturesInTower& pictures, WaitingRequests& waiting, size_t place,
                                 int64_t picture_bytes) {
  try {
    return waiting.take_picture(place, picture_bytes);
  } catch (const Error& error) {
    throw PictureError(error, static_cast<size_t>(pictures.added));
  }
}

/// Sends the pictures of the request at this place through the tower, as far as they come.
void add_pictures(TowerPasses& passes, PicturesInTower& pictures, WaitingRequests& waiting, size_t place,
                  int64_t picture_bytes) {
  try {
    while (!pictures.failure && pictures.added < pictures.pictures) {
      pictures.watch.check();
      passes.add(pictures, take_picture(pictures, waiting, place, picture_bytes));
    }
  } catch (...) {
    pictures.failure = std::current_exception();
  }
  if (pictures.failure) waiting.abandon_pictures(place);
}

ReadyRequest ready_request(const models::Model& model, WaitingRequest& request, PicturesInTower& pictures) {
  ReadyRequest ready{.plan = request.prompt->plan, .prompt = merge(model, request.prompt->ids, pictures.rows)};
  ready.prompt.images = std::move(pictures.rows);
  ready.lora = request.request.lora;
  ready.given = request.prompt->given;
  score_needed(request.request, *ready.plan, ready.prompt);
  return ready;
}

/// What other requests may share of this one. Absent if a picture's content is not known.
std::optional<RowOrigin> origin_of(const ReadyRequest& ready, const PicturesInTower& pictures) {
  RowOrigin origin{.plan = ready.plan,
                   .salt = pictures.salt,
                   .lora = ready.lora ? ready.lora->id : 0,
                   .ids = ready.prompt.ids,
                   .kinds = ready.prompt.kinds,
                   .prompt_rows = ready.prompt.rows()};
  for (size_t i = 0; i < pictures.contents.size(); ++i) {
    if (!pictures.contents[i]) return std::nullopt;
    origin.pictures.push_back({*pictures.contents[i], std::ssize(ready.prompt.images[i].kinds)});
  }
  return origin;
}

void make_ready(const models::Model& model, WaitingRequest& request, PicturesInTower& pictures, JoiningRequest& made) {
  const bool may_share = request.prompt->given.empty() && request.request.needed.empty();
  made.ready = ready_request(model, request, pictures);
  if (may_share) made.origin = origin_of(*made.ready, pictures);
  wait_for(made.ready->prompt.embeddings);
}

}  // namespace

Joining make_ready(const models::Model& model, WaitingRequests& waiting, size_t count, const MakingLimits& limits,
                   PictureCache& cache) {
  const c10::InferenceMode no_gradients;
  const Stopwatch clock;
  TowerPasses passes(model, limits.most_tiles, cache);
  std::deque<std::optional<PicturesInTower>> in_tower(count);
  for (size_t place = 0; place < count; ++place) {
    const WaitingRequest& request = waiting.at(place);
    if (request.refused) continue;
    in_tower[place].emplace(PicturesInTower{.plan = request.prompt->plan.get(),
                                            .salt = request.request.cache_salt,
                                            .lora = request.request.lora.get(),
                                            .watch = Watch(request.options),
                                            .length = request.prompt->length,
                                            .pictures = static_cast<int64_t>(request.pictures()),
                                            .rows = std::vector<models::ImageRows>(request.pictures())});
    add_pictures(passes, *in_tower[place], waiting, place, limits.picture_bytes);
  }
  passes.run();
  Joining joining{.pictures = passes.count()};
  for (std::optional<PicturesInTower>& pictures : in_tower) {
    WaitingRequest request = waiting.pop();
    JoiningRequest made{
        .ticket = request.ticket, .options = std::move(request.options), .more = std::move(request.more)};
    made.failure = pictures ? pictures->failure : request.refused;
    try {
      if (!made.failure) naming_failures([&] { make_ready(model, request, *pictures, made); });
    } catch (const Error&) {
      made.ready.reset();
      made.failure = std::current_exception();
    }
    if (made.ready) made.ready->image_ms = clock.elapsed_ms();
    joining.requests.push_back(std::move(made));
  }
  return joining;
}

}  // namespace lithe::session

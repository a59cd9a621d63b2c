#include "session/joining.h"

#include <c10/core/InferenceMode.h>

#include <deque>
#include <utility>

#include "base/clock.h"
#include "session/device_wait.h"
#include "session/errors.h"
#include "session/tower_passes.h"

namespace lithe::session {
namespace {

/// Sends the pictures of the request at this place through the tower, as far as they come.
void add_pictures(TowerPasses& passes, PicturesInTower& pictures, WaitingRequests& waiting, size_t place,
                  int64_t picture_bytes) {
  try {
    while (!pictures.failure && pictures.added < pictures.pictures) {
      pictures.watch.check();
      passes.add(pictures, waiting.take_picture(place, picture_bytes));
    }
  } catch (...) {
    pictures.failure = std::current_exception();
  }
  if (pictures.failure) waiting.abandon_pictures(place);
}

ReadyRequest ready_request(const models::Model& model, WaitingRequest& request, PicturesInTower& pictures) {
  ReadyRequest ready{.plan = std::move(request.plan), .prompt = merge(model, std::move(request.ids), pictures.rows)};
  ready.prompt.images = std::move(pictures.rows);
  return ready;
}

}  // namespace

std::vector<JoiningRequest> make_ready(const models::Model& model, WaitingRequests& waiting, size_t count,
                                       int64_t most_tiles, int64_t picture_bytes) {
  const c10::InferenceMode no_gradients;
  const Stopwatch clock;
  TowerPasses passes(model, most_tiles);
  std::deque<std::optional<PicturesInTower>> in_tower(count);
  for (size_t place = 0; place < count; ++place) {
    const WaitingRequest& request = waiting.at(place);
    if (request.refused) continue;
    in_tower[place].emplace(PicturesInTower{.plan = request.plan.get(),
                                            .watch = Watch(request.options),
                                            .length = *request.length,
                                            .pictures = static_cast<int64_t>(request.pictures())});
    add_pictures(passes, *in_tower[place], waiting, place, picture_bytes);
  }
  passes.run();
  std::vector<JoiningRequest> joining;
  for (std::optional<PicturesInTower>& pictures : in_tower) {
    WaitingRequest request = waiting.pop();
    JoiningRequest made{
        .ticket = request.ticket, .options = std::move(request.options), .more = std::move(request.more)};
    made.failure = pictures ? pictures->failure : request.refused;
    try {
      if (!made.failure) made.ready = naming_failures([&] { return ready_request(model, request, *pictures); });
    } catch (const Error&) {
      made.failure = std::current_exception();
    }
    if (made.ready) {
      wait_for(made.ready->prompt.embeddings);
      made.ready->image_ms = clock.elapsed_ms();
    }
    joining.push_back(std::move(made));
  }
  return joining;
}

}  // namespace lithe::session

#include "session/picture_workers.h"

#include <chrono>
#include <initializer_list>
#include <iterator>
#include <utility>

#include "session/batch_memory.h"

namespace lithe::session {
namespace {

Digest content_of(const image::Views& views) {
  Sha256 hash;
  const auto add = [&hash](std::initializer_list<int64_t> numbers) {
    for (const int64_t number : numbers) hash.add(number);
  };
  const auto add_pixels = [&](const image::Image& image) {
    add({image.width, image.height});
    hash.add(image.rgb);
  };
  add({views.original.width, views.original.height, views.grid.width, views.grid.height});
  add({views.content.x, views.content.y, views.content.width, views.content.height});
  add({std::ssize(views.tiles)});
  for (const image::Image& tile : views.tiles) add_pixels(tile);
  add_pixels(views.canvas);
  return hash.finish();
}

}  // namespace

ComingPicture::ComingPicture(std::future<Made> made, std::shared_ptr<std::atomic<State>> state, int64_t preparing_bytes,
                             int64_t prepared_bytes)
    : work_(new Work{std::move(made), std::move(state)}),
      preparing_bytes_(preparing_bytes),
      prepared_bytes_(prepared_bytes) {}

ComingPicture::Work::~Work() {
  if (state->exchange(State::given_up) == State::begun) made.wait();
}

int64_t ComingPicture::bytes() const {
  const bool ready = work_->made.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  return prepared_bytes_ + (ready ? 0 : preparing_bytes_);
}

PictureWorkers::PictureWorkers(const models::Model& model, int64_t threads, bool identifies)
    : model_(model), identifies_(identifies), pool_(threads) {}

ComingPicture PictureWorkers::begin(const image::Source& picture, int64_t pictures) {
  const models::Vision& vision = model_.seeing();
  auto state = std::make_shared<std::atomic<ComingPicture::State>>(ComingPicture::State::waits);
  std::future<ComingPicture::Made> made = pool_.begin([&vision, picture, pictures, state, identifies = identifies_] {
    const auto made = std::make_shared<PreparedPicture>();
    if (state->exchange(ComingPicture::State::begun) != ComingPicture::State::given_up) {
      static_cast<models::PreparedImage&>(*made) = vision.prepare(*picture.decode(), pictures);
      if (identifies) made->content = content_of(made->views);
    }
    return ComingPicture::Made(made);
  });
  return {std::move(made), state, preparing_bytes(model_, picture, pictures), prepared_bytes_of(picture, pictures)};
}

int64_t PictureWorkers::prepared_bytes_of(const image::Source& picture, int64_t pictures) const {
  const models::Vision& vision = model_.seeing();
  return prepared_bytes(vision, vision.tiles(picture.header().size, pictures));
}

int64_t PictureWorkers::bytes_of(const image::Source& picture, int64_t pictures) const {
  return preparing_bytes(model_, picture, pictures) + prepared_bytes_of(picture, pictures);
}

}  // namespace lithe::session

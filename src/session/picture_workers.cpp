#include "session/picture_workers.h"

#include <chrono>
#include <utility>

#include "session/batch_memory.h"

namespace lithe::session {

ComingPicture::ComingPicture(std::future<models::PreparedImage> made, std::shared_ptr<std::atomic<State>> state,
                             int64_t preparing_bytes, int64_t prepared_bytes)
    : made_(std::move(made)),
      state_(std::move(state)),
      preparing_bytes_(preparing_bytes),
      prepared_bytes_(prepared_bytes) {}

ComingPicture::~ComingPicture() {
  give_up();
}

ComingPicture& ComingPicture::operator=(ComingPicture&& other) noexcept {
  give_up();
  made_ = std::move(other.made_);
  state_ = std::move(other.state_);
  preparing_bytes_ = other.preparing_bytes_;
  prepared_bytes_ = other.prepared_bytes_;
  return *this;
}

void ComingPicture::give_up() {
  if (made_.valid() && state_->exchange(State::given_up) == State::begun) made_.wait();
}

int64_t ComingPicture::bytes() const {
  const bool ready = made_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  return prepared_bytes_ + (ready ? 0 : preparing_bytes_);
}

PictureWorkers::PictureWorkers(const models::Model& model, int64_t threads) : model_(model), pool_(threads) {}

ComingPicture PictureWorkers::begin(const image::Source& picture, int64_t pictures) {
  const models::Vision& vision = model_.seeing();
  auto state = std::make_shared<std::atomic<ComingPicture::State>>(ComingPicture::State::waits);
  std::future<models::PreparedImage> made = pool_.begin([&vision, picture, pictures, state] {
    if (state->exchange(ComingPicture::State::begun) == ComingPicture::State::given_up) return models::PreparedImage();
    return vision.prepare(*picture.decode(), pictures);
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

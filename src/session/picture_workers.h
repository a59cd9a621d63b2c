#pragma once

#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>

#include "base/sha256.h"
#include "base/worker_pool.h"
#include "image/source.h"
#include "models/model.h"

namespace lithe::session {

/// A picture that is ready for the tower.
struct PreparedPicture : models::PreparedImage {
  /// Of all that the tower and heat maps see of it, so it stands for the preprocessing too. Absent: nobody asked.
  std::optional<Digest> content;
};

/// A picture that a worker makes ready for the tower. Copies are the same picture. If nobody takes it, it is given up
/// with the last copy: work that has not begun is skipped, else it is waited for, so that its memory is free
/// afterwards.
class ComingPicture {
 public:
  enum class State { waits, begun, given_up };
  using Made = std::shared_ptr<const PreparedPicture>;

  ComingPicture(std::future<Made> made, std::shared_ptr<std::atomic<State>> state, int64_t preparing_bytes,
                int64_t prepared_bytes);

  /// Waits for it. Throws what decoding and preparing threw.
  Made take() const { return work_->made.get(); }
  /// Most memory that it takes from now on.
  int64_t bytes() const;
  /// The same for copies.
  const void* id() const { return work_.get(); }

 private:
  struct Work {
    ~Work();
    std::shared_future<Made> made;
    std::shared_ptr<std::atomic<State>> state;
  };

  std::shared_ptr<const Work> work_;
  int64_t preparing_bytes_, prepared_bytes_;
};

/// Threads that decode pictures, cut them into views and normalise them. They touch no tensor. One thread owns them,
/// and the model while they live.
class PictureWorkers {
 public:
  /// No thread starts before the first picture. `identifies`: they tell the contents of pictures too.
  PictureWorkers(const models::Model& model, int64_t threads, bool identifies = false);

  /// Begins a picture of a prompt with `pictures` of them. Throws Error{bad_request} if the model has no tower.
  ComingPicture begin(const image::Source& picture, int64_t pictures);
  /// Most memory that such a picture takes until it is taken.
  int64_t bytes_of(const image::Source& picture, int64_t pictures) const;

 private:
  int64_t prepared_bytes_of(const image::Source& picture, int64_t pictures) const;

  const models::Model& model_;
  const bool identifies_;
  WorkerPool pool_;
};

}  // namespace lithe::session

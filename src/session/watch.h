#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <stop_token>

#include "routing/batch.h"
#include "session/session.h"

namespace lithe::session {

/// Leaves work whose request was cancelled, or one of whose callbacks threw; caught where its answer is made.
struct Cancelled {
  std::exception_ptr thrown;  ///< By a callback; null: cancelled.
};

/// Tells a request's caller how far its pictures are, and stops them when the request is cancelled. A Watch of default
/// options does neither.
class Watch {
 public:
  Watch() = default;
  explicit Watch(const AnswerOptions& options) : cancel_(options.cancel), on_progress_(options.on_progress) {}

  /// For the vision tower of `layers` layers, over picture `item` of `items`. Throws Cancelled.
  routing::Observer tower(int64_t layers, int64_t item, int64_t items) const;
  /// The same after `done` of its layers. Throws Cancelled.
  void layer(int64_t done, int64_t layers, int64_t item, int64_t items) const;
  /// Throws Cancelled.
  void check() const;

 private:
  std::stop_token cancel_;
  std::function<void(const Progress&)> on_progress_;
};

}  // namespace lithe::session

#include "session/watch.h"

namespace lithe::session {

void Watch::check() const {
  if (cancel_.stop_requested()) throw Cancelled();
}

void Watch::layer(int64_t done, int64_t layers, int64_t item, int64_t items) const {
  try {
    if (on_progress_) {
      on_progress_({.stage = Progress::Stage::pictures, .done = done, .total = layers, .item = item, .items = items});
    }
  } catch (...) {
    throw Cancelled{std::current_exception()};
  }
  check();
}

routing::Observer Watch::tower(int64_t layers, int64_t item, int64_t items) const {
  return
      [this, layers, item, items](const routing::LayerReport& report) { layer(report.layer + 1, layers, item, items); };
}

}  // namespace lithe::session

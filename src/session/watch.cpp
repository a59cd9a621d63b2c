#include "session/watch.h"

namespace lithe::session {

void Watch::check() const {
  if (cancel_.stop_requested()) throw Cancelled();
}

void Watch::tell(const Progress& progress) const {
  if (!on_progress_) return;
  try {
    on_progress_(progress);
  } catch (...) {
    throw Cancelled{std::current_exception()};
  }
}

routing::Observer Watch::tower(int64_t layers, int64_t item, int64_t items) const {
  return [this, layers, item, items](const routing::LayerReport& report) {
    tell({.stage = Progress::Stage::pictures, .done = report.layer + 1, .total = layers, .item = item, .items = items});
    check();
  };
}

}  // namespace lithe::session

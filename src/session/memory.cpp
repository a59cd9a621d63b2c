#include "session/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace lithe::session {
namespace {

constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();

/// A number alone in a file; kUnknown where there is none ("max").
int64_t number_in(const char* path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : kUnknown;
}

int64_t machine_free() {
  std::ifstream file("/proc/meminfo");
  for (std::string name, unit; file >> name;) {
    int64_t kib = 0;
    if (!(file >> kib)) break;
    std::getline(file, unit);
    if (name == "MemAvailable:") return kib * 1024;
  }
  return kUnknown;
}

int64_t group_free() {
  const int64_t limit = number_in("/sys/fs/cgroup/memory.max");
  const int64_t used = number_in("/sys/fs/cgroup/memory.current");
  return limit == kUnknown || used == kUnknown ? kUnknown : std::max<int64_t>(0, limit - used);
}

}  // namespace

int64_t memory_available() {
  return std::min(machine_free(), group_free());
}

}  // namespace lithe::session

#include "session/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace lithe::session {
namespace {

constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();

/// A number alone in a file; kUnknown if it is not a number ("max").
int64_t number_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : kUnknown;
}

/// The number after a name, in a file of such lines; absent if no line has the name.
std::optional<int64_t> number_after(const std::string& wanted, const std::filesystem::path& path) {
  std::ifstream file(path);
  int64_t value = 0;
  for (std::string name, rest; file >> name >> value; std::getline(file, rest)) {
    if (name == wanted) return value;
  }
  return std::nullopt;
}

int64_t machine_free() {
  const std::optional<int64_t> kib = number_after("MemAvailable:", "/proc/meminfo");
  return kib ? *kib * 1024 : kUnknown;
}

}  // namespace

int64_t memory_available() {
  return std::min(machine_free(), free_in_group("/sys/fs/cgroup"));
}

int64_t free_in_group(const std::filesystem::path& group) {
  const int64_t limit = number_in(group / "memory.max"), used = number_in(group / "memory.current");
  if (limit == kUnknown || used == kUnknown) return kUnknown;
  const int64_t cache = number_after("inactive_file", group / "memory.stat").value_or(0) +
                        number_after("active_file", group / "memory.stat").value_or(0);
  return std::clamp<int64_t>(limit - used + cache, 0, limit);
}

}  // namespace lithe::session

#include "base/resident_peak.h"

#include <fstream>
#include <string>

namespace lithe {

void forget_resident_peak() {
  std::ofstream("/proc/self/clear_refs") << "5";  // proc(5): resets VmHWM
}

int64_t resident_peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;  // "VmHWM:    1234 kB"
  }
  return 0;
}

}  // namespace lithe

#pragma once

#include <cstdint>
#include <string>

namespace lithe::cli {

/// The processor as /proc/cpuinfo names it, or "unknown processor".
std::string processor_name();

/// Processes that ran or waited over the last minute; 0 if the system does not say.
double load_average();

}  // namespace lithe::cli

#pragma once

#include <cstdint>

namespace lithe {

/// Lets resident_peak_bytes() count from now on. Without effect if the system does not allow it.
void forget_resident_peak();

/// The most memory that this process has held, in bytes, with the pages of files that it maps; 0: not known.
int64_t resident_peak_bytes();

}  // namespace lithe

#pragma once

namespace lithe {

/// Whether a sanitizer is built in, which maps memory and takes signals itself.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

}  // namespace lithe

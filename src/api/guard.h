#pragma once

#include <utility>

#include "lithe/failure.h"

namespace lithe::api {

/// Called in a catch block: throws the current exception as the public exception. A library below may write its own
/// stack of lines; the first says what is wrong.
[[noreturn]] void rethrow_as_failure();

/// Runs `work`; throws its exceptions as Failure.
template <class Work>
decltype(auto) guarded(Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (...) {
    rethrow_as_failure();
  }
}

}  // namespace lithe::api

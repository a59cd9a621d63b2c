#pragma once

#include <exception>
#include <utility>

#include "base/error.h"

namespace lithe::session {

/// A failure as Lithe's own: no_memory where an allocation failed, in LibTorch or elsewhere; internal for what is no
/// Error.
Error error_of(const std::exception& failure);

/// Runs `work`; what it throws leaves as Error.
template <class Work>
decltype(auto) naming_failures(Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& failure) {
    throw error_of(failure);
  }
}

}  // namespace lithe::session

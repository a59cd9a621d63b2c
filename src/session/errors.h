#pragma once

#include <exception>
#include <utility>

#include "base/error.h"

namespace lithe::session {

/// A failure as Lithe's own: no_memory if an allocation failed, in LibTorch or elsewhere; internal for what is not an
/// Error.
Error error_of(const std::exception& failure);
/// The same of anything that was thrown.
Error error_of(const std::exception_ptr& failure);

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

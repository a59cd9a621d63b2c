#pragma once

#include <cstddef>
#include <exception>
#include <utility>

#include "base/error.h"

namespace lithe::session {

/// A failure as Lithe's own: no_memory if an allocation failed, in LibTorch or elsewhere; internal for what is not an
/// Error.
Error error_of(const std::exception& failure);
/// The same of anything that was thrown.
Error error_of(const std::exception_ptr& failure);

/// What one of a request's pictures is refused for.
class PictureError : public Error {
 public:
  PictureError(const Error& error, std::size_t picture) : Error(error), picture_(picture) {}
  std::size_t picture() const { return picture_; }  ///< From 0, among those of the request.

 private:
  std::size_t picture_;
};

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

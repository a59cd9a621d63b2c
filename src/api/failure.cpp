#include "lithe/failure.h"

#include "api/guard.h"
#include "base/error.h"
#include "session/errors.h"

namespace lithe {

Failure::Failure(Cause cause, const std::string& sentence) : std::runtime_error(sentence), cause_(cause) {}
Failure::~Failure() = default;

namespace api {
namespace {

Cause cause_of(Fault fault) {
  switch (fault) {
    case Fault::bad_request:
      return Cause::bad_request;
    case Fault::bad_file:
      return Cause::bad_file;
    case Fault::no_memory:
      return Cause::no_memory;
    case Fault::internal:
      break;
  }
  return Cause::internal;
}

}  // namespace

void rethrow_as_failure() {
  try {
    throw;
  } catch (const Failure&) {
    throw;
  } catch (const std::exception& failure) {
    const Error error = session::error_of(failure);
    throw Failure(cause_of(error.fault()), error.what());
  } catch (...) {
    throw Failure(Cause::internal, "Something was thrown that is not an exception; please report it.");
  }
}

}  // namespace api
}  // namespace lithe

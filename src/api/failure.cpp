#include "lithe/failure.h"

#include <new>

#include "api/guard.h"
#include "base/error.h"

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

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

void rethrow_as_failure() {
  try {
    throw;
  } catch (const Failure&) {
    throw;
  } catch (const Error& error) {
    throw Failure(cause_of(error.fault()), first_line(error.what()));
  } catch (const std::bad_alloc&) {
    throw Failure(Cause::no_memory,
                  "The machine has too little memory for this; try a shorter prompt, or hold weights as bfloat16.");
  } catch (const std::exception& error) {
    throw Failure(Cause::internal, first_line(error.what()));
  } catch (...) {
    throw Failure(Cause::internal, "Something was thrown that is no exception; please report it.");
  }
}

}  // namespace api
}  // namespace lithe

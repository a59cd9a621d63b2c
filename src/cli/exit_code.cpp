#include "cli/exit_code.h"

#include <exception>
#include <string>

#include "base/error.h"
#include "cli/standard_output.h"
#include "session/errors.h"

namespace lithe::cli {
namespace {

int exit_code(Fault fault) {
  switch (fault) {
    case Fault::bad_request:
      return kExitBadRequest;
    case Fault::bad_file:
      return kExitBadFile;
    case Fault::no_memory:
    case Fault::internal:
      break;
  }
  return 1;
}

int report(const std::string& sentence, int code) {
  write_err("lithe: " + sentence + "\n");
  return code;
}

}  // namespace

int guarded(const std::function<int()>& command) {
  try {
    return command();
  } catch (const std::exception& failure) {
    const Error error = session::error_of(failure);
    return report(error.what(), exit_code(error.fault()));
  }
}

}  // namespace lithe::cli

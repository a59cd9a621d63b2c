#include "session/errors.h"

#include <c10/util/Exception.h>

#include <filesystem>
#include <new>
#include <string>

namespace lithe::session {
namespace {

bool is_lack_of_memory(const std::exception& failure) {
  if (dynamic_cast<const std::bad_alloc*>(&failure) || dynamic_cast<const c10::OutOfMemoryError*>(&failure))
    return true;
  // On the CPU, LibTorch's failed allocation has no type of its own.
  const auto* torch = dynamic_cast<const c10::Error*>(&failure);
  return torch && torch->msg().find("DefaultCPUAllocator") != std::string::npos;
}

}  // namespace

Error error_of(const std::exception& failure) {
  if (const auto* error = dynamic_cast<const Error*>(&failure)) return *error;
  if (is_lack_of_memory(failure)) {
    return {
        Fault::no_memory,
        "The machine has too little memory for this; shorten the prompt, hold the weights as bfloat16, or let fewer "
        "requests run at a time."};
  }
  if (const auto* files = dynamic_cast<const std::filesystem::filesystem_error*>(&failure)) {
    return {Fault::bad_file, concat(files->path1().string(), ": ", files->code().message())};
  }
  const std::string text = failure.what();
  return {Fault::internal, text.substr(0, text.find('\n'))};  // LibTorch writes its stack trace after the first line
}

Error error_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& known) {
    return error_of(known);
  } catch (...) {
    return {Fault::internal, "A callback threw something that is not an exception."};
  }
}

}  // namespace lithe::session

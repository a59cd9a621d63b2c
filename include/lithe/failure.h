#pragma once

#include <stdexcept>
#include <string>

#include "lithe/export.h"

namespace lithe {

/// Whose fault a failure is.
enum class Cause {
  bad_request,  ///< What was asked is impossible: a prompt, a picture, a plan, an option.
  bad_file,     ///< A file is missing, damaged or does not fit the rest.
  no_memory,    ///< The machine has less memory than the request needs.
  internal,     ///< Lithe's own mistake.
};

/// The one exception that Lithe throws. what() is one sentence: what is wrong, where, and what to do.
class LITHE_API Failure : public std::runtime_error {
 public:
  Failure(Cause cause, const std::string& sentence);
  ~Failure() override;
  Cause cause() const { return cause_; }

 private:
  Cause cause_;
};

}  // namespace lithe

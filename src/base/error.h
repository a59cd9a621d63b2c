#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace lithe {

/// Whose fault a failure is; a front end turns it into an exit code or an HTTP status in one place.
enum class Fault {
  bad_request,  ///< The caller asked for something impossible: flags, prompts, plans. Exit code 2.
  bad_file,     ///< A file is missing, damaged or does not fit the rest. Exit code 3.
  no_memory,    ///< The machine has less memory than the request needs. Exit code 1.
  internal,     ///< Our own mistake. Exit code 1.
};

/// One sentence that says what is wrong, where, and what to do. It may hold text from a file or a user, so what() is
/// printable(sentence): safe to show on a terminal and of bounded length.
class Error : public std::runtime_error {
 public:
  Error(Fault fault, const std::string& sentence);
  Fault fault() const { return fault_; }

 private:
  Fault fault_;
};

/// Joins its arguments with operator<<.  concat("layer ", 3) == "layer 3"
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
[[noreturn]] void fail(Fault fault, const Parts&... parts) {
  throw Error(fault, concat(parts...));
}

/// Throws Error{fault} with the joined parts unless `holds`.
template <class... Parts>
void require(bool holds, Fault fault, const Parts&... parts) {
  if (!holds) fail(fault, parts...);
}

}  // namespace lithe

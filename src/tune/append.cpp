#include "tune/append.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace lithe::tune {

void append_to(int descriptor, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    require(written >= 0, Fault::bad_file, path.string(), ": can't be written: ", std::strerror(errno));
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace lithe::tune

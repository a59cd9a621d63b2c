#include "io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "io/output_file.h"

namespace lithe::io {

void make_folder(const std::filesystem::path& path) {
  std::error_code code;
  std::filesystem::create_directories(path, code);
  require(!code, Fault::bad_file, path.string(), ": the folder can't be created: ", code.message());
  require(std::filesystem::is_directory(path, code), Fault::bad_file, path.string(), ": is not a folder");
}

void sync_folder(const std::filesystem::path& path) {
  const int handle = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (handle < 0) return;
  ::fsync(handle);
  ::close(handle);
}

void write_text_atomic(const std::filesystem::path& path, std::string_view text) {
  OutputFile file(path);
  file.write(text);
  file.commit();
}

void write_json_atomic(const std::filesystem::path& path, const Json& json) {
  write_text_atomic(path, json_text(json, 2) + "\n");
}

}  // namespace lithe::io

#include "io/torch_file.h"

#include "base/error.h"
#include "io/mapped_file.h"

namespace lithe::io {

std::map<std::string, TensorView> parse_torch(const Bytes& bytes) {
  fail(Fault::bad_file, bytes.file, ": is not a file that torch.save wrote");
}

std::map<std::string, TensorView> open_torch(const std::filesystem::path& path) {
  return parse_torch(map_file(path));
}

}  // namespace lithe::io

#include "io/resave.h"

#include <string>
#include <system_error>
#include <vector>

#include "io/atomic_file.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;

void write_weights(const fs::path& from, const fs::path& to, Resaved& done) {
  const Checkpoint checkpoint = Checkpoint::open(from);
  const std::vector<std::string> names = checkpoint.names();
  std::vector<SafetensorsWriter::Entry> entries;
  for (const std::string& name : names) {
    const TensorView& tensor = checkpoint.at(name);
    entries.push_back({name, tensor.dtype, tensor.shape});
  }
  SafetensorsWriter writer(to / "model.safetensors", entries, {{"format", "pt"}});  // transformers asks for the format
  for (const std::string& name : names) writer.put(name, checkpoint.at(name).bytes);
  writer.commit();
  done.tensors += static_cast<int64_t>(names.size());
  done.bytes += checkpoint.bytes();
}

void write_folder(const fs::path& from, const fs::path& to, Resaved& done) {
  make_folder(to);
  write_weights(from, to, done);
  done.files += copy_others(from, to, {});
  for (const fs::directory_entry& entry : entries_of(from)) {
    std::error_code code;
    if (entry.is_directory(code) && !entry.is_symlink(code) && fs::exists(entry.path() / "config.json", code))
      write_folder(entry.path(), to / entry.path().filename(), done);
  }
}

}  // namespace

Resaved resave_folder(const NewFolder& folder) {
  Resaved done;
  write_folder(folder.source(), folder.part(), done);
  return done;
}

}  // namespace lithe::io

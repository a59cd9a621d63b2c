#include "io/resave.h"

#include <string>
#include <system_error>
#include <vector>

#include "io/atomic_file.h"
#include "io/checkpoint.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;

void write_weights(const fs::path& from, const fs::path& to, const OnBytes& on_bytes, Resaved& done) {
  const Checkpoint checkpoint = Checkpoint::open(from);
  const std::vector<std::string> names = checkpoint.names();
  std::vector<SafetensorsWriter::Entry> entries;
  for (const std::string& name : names) {
    const TensorView& tensor = checkpoint.at(name);
    entries.push_back({name, tensor.dtype, tensor.shape});
  }
  const Metadata format{{"format", "pt"}};  // transformers asks for it
  SafetensorsWriter writer(to / "model.safetensors", entries, format, on_bytes);
  for (const std::string& name : names) writer.put(name, checkpoint.at(name).bytes);
  writer.commit();
  done.tensors += static_cast<int64_t>(names.size());
  done.bytes += checkpoint.bytes();
}

enum class Links { follow, pass_over };

/// Links are followed in the model's own folder only, and never upwards, so that it ends.
void write_folder(const fs::path& from, const fs::path& to, Links links, const OnBytes& on_bytes, Resaved& done) {
  make_folder(to);
  write_weights(from, to, on_bytes, done);
  done.files += copy_others(from, to, {});
  for (const fs::directory_entry& entry : entries_of(from)) {
    std::error_code code;
    if (!entry.is_directory(code) || !fs::exists(entry.path() / "config.json", code)) continue;
    if (entry.is_symlink(code) &&
        (links == Links::pass_over || holds(fs::canonical(entry.path()), fs::canonical(from))))
      continue;
    write_folder(entry.path(), to / entry.path().filename(), Links::pass_over, on_bytes, done);
  }
}

}  // namespace

Resaved resave_folder(const NewFolder& folder, const OnBytes& on_bytes) {
  Resaved done;
  write_folder(folder.source(), folder.part(), Links::follow, on_bytes, done);
  return done;
}

}  // namespace lithe::io

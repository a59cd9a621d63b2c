#include "io/resave.h"

#include <unistd.h>
#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "io/atomic_file.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;

/// A folder that is written beside its place, and gone again unless it is put there.
class PartFolder {
 public:
  explicit PartFolder(fs::path place)
      : place_(std::move(place)),
        part_(place_.parent_path() / concat(".", place_.filename().string(), ".part-", getpid())) {
    make_folder(part_);
  }
  ~PartFolder() {
    std::error_code ignored;
    fs::remove_all(part_, ignored);
  }
  PartFolder(const PartFolder&) = delete;
  PartFolder& operator=(const PartFolder&) = delete;

  const fs::path& path() const { return part_; }

  void commit() {
    std::error_code code;
    fs::rename(part_, place_, code);
    require(!code, Fault::bad_file, place_.string(), ": the folder can't be put in place: ", code.message());
  }

 private:
  fs::path place_, part_;
};

/// What torch, TensorFlow and JAX call their weights, and the indexes of shards.
bool holds_weights(const std::string& name) {
  constexpr std::array<std::string_view, 9> kEndings = {".safetensors", ".bin",     ".pth",  ".pt",        ".ckpt",
                                                        ".h5",          ".msgpack", ".onnx", ".index.json"};
  return std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view end) { return name.ends_with(end); });
}

std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    entries.push_back(*entry);
  }
  require(!code, Fault::bad_file, folder.string(), ": the folder can't be read: ", code.message());
  return entries;
}

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
  for (const fs::directory_entry& entry : entries_of(from)) {
    const std::string name = entry.path().filename().string();
    std::error_code code;
    if (name.starts_with(".")) continue;
    if (entry.is_regular_file(code) && !holds_weights(name)) {
      fs::copy_file(entry.path(), to / name, code);
      require(!code, Fault::bad_file, entry.path().string(), ": can't be copied to ", to.string(), ": ",
              code.message());
      ++done.files;
    } else if (entry.is_directory(code) && !entry.is_symlink(code) && fs::exists(entry.path() / "config.json", code)) {
      write_folder(entry.path(), to / name, done);
    }
  }
}

/// Without the closing slash that would make the last part empty.
fs::path plain(const fs::path& path) {
  const fs::path whole = fs::weakly_canonical(fs::absolute(path));
  return whole.has_filename() ? whole : whole.parent_path();
}

}  // namespace

Resaved resave_folder(const fs::path& from, const fs::path& to) {
  const fs::path source = plain(from), place = plain(to);
  std::error_code code;
  require(fs::is_directory(source, code), Fault::bad_file, from.string(), ": is not a folder; give a model's folder");
  require(!fs::exists(place, code), Fault::bad_request, to.string(), ": is there already; name a new folder");
  const auto [rest, unused] = std::mismatch(source.begin(), source.end(), place.begin(), place.end());
  require(rest != source.end(), Fault::bad_request, to.string(), ": lies inside ", from.string(),
          "; name a folder elsewhere");
  Resaved done;
  PartFolder part(place);
  write_folder(source, part.path(), done);
  part.commit();
  return done;
}

}  // namespace lithe::io

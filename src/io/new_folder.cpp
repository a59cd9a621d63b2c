#include "io/new_folder.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "io/atomic_file.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;

/// Absolute, without the closing slash that would make the last part empty.
fs::path plain(const fs::path& path) {
  std::error_code code;
  const fs::path whole = fs::weakly_canonical(fs::absolute(path), code);
  require(!code, Fault::bad_request, path.string(), ": can't be a folder: ", code.message());
  return whole.has_filename() ? whole : whole.parent_path();
}

}  // namespace

void NewFolder::check_place(const fs::path& place) {
  require(!place.empty(), Fault::bad_request, "The name of the output folder is empty; give it a name.");
  require(place != "-", Fault::bad_request, "The output - would be a folder of that name; write ./- for that.");
  std::error_code code;
  // A link that leads nowhere is there, too.
  const bool is_there = fs::exists(fs::symlink_status(plain(place), code));
  require(!is_there, Fault::bad_request, place.string(), ": is there already; name a new folder");
}

NewFolder::NewFolder(const fs::path& source, const fs::path& place) : source_(plain(source)) {
  std::error_code code;
  require(fs::is_directory(source_, code) || fs::is_regular_file(source_, code), Fault::bad_file, source.string(),
          ": is not a folder; give a model's folder");
  check_place(place);
  place_ = plain(place);
  require(!holds(source_, place_), Fault::bad_request, place.string(), ": lies inside ", source.string(),
          "; name a folder elsewhere");
  part_ = part_of(place_, getpid());
  make_folder(part_);
}

fs::path NewFolder::part_of(const fs::path& place, pid_t writer) {
  constexpr std::size_t kLongest = 100;  // so that the whole is not too long if the name is not
  const fs::path whole = plain(place);
  return whole.parent_path() / concat(".", whole.filename().string().substr(0, kLongest), ".part-", writer);
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  fs::remove_all(part_, ignored);
}

void NewFolder::commit() {
  std::error_code code;
  fs::rename(part_, place_, code);
  require(!code, Fault::bad_file, place_.string(), ": the folder can't be put in place: ", code.message());
  sync_folder(place_.parent_path());
}

bool holds_weights(const std::string& name) {
  constexpr std::array<std::string_view, 9> kEndings = {".safetensors", ".bin",     ".pth",  ".pt",        ".ckpt",
                                                        ".h5",          ".msgpack", ".onnx", ".index.json"};
  return std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view end) { return name.ends_with(end); });
}

bool holds(const fs::path& folder, const fs::path& path) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    if (!entry->path().filename().string().starts_with(".")) entries.push_back(*entry);
  }
  require(!code, Fault::bad_file, folder.string(), ": the folder can't be read: ", code.message());
  std::sort(entries.begin(), entries.end());
  return entries;
}

void copy_file(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::copy_file(from, to, code);
  require(!code, Fault::bad_file, from.string(), ": can't be copied to ", to.string(), ": ", code.message());
}

int64_t copy_others(const fs::path& from, const fs::path& to, const std::set<std::string>& made) {
  int64_t copied = 0;
  for (const fs::directory_entry& entry : entries_of(from)) {
    const std::string name = entry.path().filename().string();
    std::error_code code;
    if (!entry.is_regular_file(code) || holds_weights(name) || made.contains(name)) continue;
    io::copy_file(entry.path(), to / name);
    ++copied;
  }
  return copied;
}

}  // namespace lithe::io

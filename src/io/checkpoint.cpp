#include "io/checkpoint.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include "base/edits.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json_limits.h"
#include "base/printable.h"
#include "io/mapped_file.h"
#include "io/safetensors.h"
#include "io/torch_file.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;
using Tensors = std::map<std::string, TensorView>;

constexpr std::size_t kMaxIndexBytes = std::size_t{64} << 20;
constexpr std::size_t kLongestName = 4096;

Tensors open_file(const fs::path& path) {
  const Bytes bytes = map_file(path);
  refuse_lfs_pointer(as_text(bytes.span), path);
  Tensors out =
      path.extension() == ".safetensors" ? parse_safetensors(bytes, Misaligned::keep).tensors : parse_torch(bytes);
  for (const auto& [name, tensor] : out) {
    require(name.size() <= kLongestName, Fault::bad_file, path.string(), ": the name ", in_quotes(name),
            " of a tensor has ", name.size(), " bytes, the limit is ", kLongestName);
  }
  return out;
}

void check_shard_name(const std::string& shard, const std::string& where) {
  const bool plain =
      !shard.empty() && shard != "." && shard != ".." && shard.find_first_of(std::string("/\\\0", 3)) == shard.npos;
  require(plain, Fault::bad_file, where, " stands in ", in_quotes(shard),
          ", which is not a file name in the same folder");
}

/// Files that are parts of one model.
Tensors open_all(const std::vector<fs::path>& files) {
  Tensors out;
  for (const fs::path& file : files) {
    for (auto& [name, tensor] : open_file(file)) {
      const auto [old, is_new] = out.emplace(name, std::move(tensor));
      require(is_new, Fault::bad_file, file.string(), ": tensor ", in_quotes(name), " stands in ", old->second.file,
              " too; remove the file that does not belong to the model");
    }
  }
  return out;
}

/// Every tensor of every shard, as in transformers; the index must say the truth about those that it names.
Tensors open_index(const fs::path& path) {
  const std::map<std::string, std::string> places =
      parse_shard_index(read_regular_file(path, kMaxIndexBytes), path.string());
  std::set<std::string> shards;
  for (const auto& [name, shard] : places) shards.insert(shard);
  std::vector<fs::path> files;
  for (const std::string& shard : shards) {
    files.push_back(path.parent_path() / shard);
    require(is_there(files.back()), Fault::bad_file, path.string(), ": the shard ", in_quotes(shard),
            " is missing; download it, or remove the index if the weights are in other files");
  }
  Tensors out = open_all(files);
  for (const auto& [name, shard] : places) {
    const auto tensor = out.find(name);
    const bool right = tensor != out.end() && tensor->second.file == (path.parent_path() / shard).string();
    require(right, Fault::bad_file, path.string(), ": tensor ", in_quotes(name), " is not in ", in_quotes(shard),
            ", where the index says it is; index and shards are of different models");
  }
  return out;
}

std::vector<fs::path> files_with(const fs::path& folder, std::string_view prefix, std::string_view suffix) {
  std::vector<fs::path> out;
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(prefix) && name.ends_with(suffix) && name[0] != '.') out.push_back(entry->path());
  }
  require(!code, Fault::bad_file, folder.string(), ": the folder can't be read: ", code.message());
  std::sort(out.begin(), out.end());
  return out;
}

Tensors open_folder(const fs::path& folder) {
  for (const char* stem : {"model.safetensors", "pytorch_model.bin"}) {
    if (is_there(folder / stem)) return open_file(folder / stem);
    // Saving a sharded folder again may leave the old index beside the one new file.
    const fs::path index = folder / (std::string(stem) + ".index.json");
    if (is_there(index)) return open_index(index);
  }
  if (const std::vector<fs::path> files = files_with(folder, "", ".safetensors"); !files.empty())
    return open_all(files);
  const std::vector<fs::path> parts = files_with(folder, "consolidated.", ".pth");
  require(parts.size() <= 1, Fault::bad_file, folder.string(), ": holds ", parts.size(),
          " consolidated.*.pth parts; only models in one part are read");
  require(!parts.empty(), Fault::bad_file, folder.string(),
          ": holds no weights; expected model.safetensors, pytorch_model.bin, one of their indexes, other "
          "*.safetensors, or consolidated.00.pth");
  return open_file(parts[0]);
}

/// "; near names: 'a', 'b'": at most three, and only such as a slip or a changed prefix makes.
std::string near_names(const Tensors& tensors, const std::string& name) {
  constexpr std::size_t kLongest = 256;
  std::vector<std::pair<std::size_t, std::string>> found;
  for (const auto& [other, tensor] : tensors) {
    if (other.size() > kLongest || name.size() > kLongest) continue;
    const bool contained = other.ends_with(name) || name.ends_with(other);
    const std::size_t longer = std::max(name.size(), other.size()) - std::min(name.size(), other.size());
    if (!contained && longer > name.size() / 3) continue;  // so many edits at least
    const std::size_t edits = contained ? 0 : edits_between(name, other);
    if (edits <= name.size() / 3) found.emplace_back(edits, other);
  }
  const auto last = found.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(found.size(), 3));
  std::partial_sort(found.begin(), last, found.end());
  std::string out;
  for (auto near = found.begin(); near != last; ++near)
    out += (out.empty() ? "; near names: " : ", ") + in_quotes(near->second);
  return out;
}

}  // namespace

std::map<std::string, std::string> parse_shard_index(std::string_view text, const std::string& source) {
  const Json root = parse_json(text, source, {.max_depth = 4, .unique_keys = true});
  require(root.is_object(), Fault::bad_file, source, " is not a JSON object");
  const auto map = root.find("weight_map");
  require(map != root.end() && map->is_object(), Fault::bad_file, source, ": has no object 'weight_map'");
  require(!map->empty(), Fault::bad_file, source, ": 'weight_map' names no tensor");
  std::map<std::string, std::string> out;
  for (const auto& [name, shard] : map->items()) {
    const std::string where = concat(source, ": tensor ", in_quotes(name));
    require(shard.is_string(), Fault::bad_file, where, " has a shard that is not a string");
    check_shard_name(shard.get_ref<const std::string&>(), where);
    out[name] = shard.get<std::string>();
  }
  return out;
}

Checkpoint Checkpoint::open(const fs::path& path) {
  std::error_code code;
  require(is_there(path), Fault::bad_file, path.string(), ": no such file or folder");
  Checkpoint out;
  out.path_ = path;
  out.tensors_ = fs::is_directory(path, code) ? open_folder(path) : open_file(path);
  return out;
}

Checkpoint Checkpoint::of(const fs::path& path, Tensors tensors) {
  Checkpoint out;
  out.path_ = path;
  out.tensors_ = std::move(tensors);
  return out;
}

const TensorView* Checkpoint::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return nullptr;
  const std::lock_guard lock(*aligning_);
  align(found->second);
  return &found->second;
}

const TensorView& Checkpoint::at(const std::string& name) const {
  const TensorView* tensor = find(name);
  require(tensor != nullptr, Fault::bad_file, path_.string(), ": the tensor ", in_quotes(name), " is missing",
          tensor == nullptr ? near_names(tensors_, name) : "");
  return *tensor;
}

void Checkpoint::put(const std::string& name, TensorView tensor) {
  tensors_.insert_or_assign(name, std::move(tensor));
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> out;
  for (const auto& [name, tensor] : tensors_) out.push_back(name);
  return out;
}

int64_t Checkpoint::bytes() const {
  const std::lock_guard lock(*aligning_);
  return std::accumulate(tensors_.begin(), tensors_.end(), int64_t{0}, [](int64_t sum, const auto& entry) {
    return sum + static_cast<int64_t>(entry.second.bytes.size());
  });
}

}  // namespace lithe::io

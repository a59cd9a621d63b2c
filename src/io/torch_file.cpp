#include "io/torch_file.h"

#include <optional>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "io/mapped_file.h"
#include "io/pickle.h"
#include "io/strided.h"
#include "io/torch_globals.h"
#include "io/zip_archive.h"

namespace lithe::io {
namespace {

using Tensors = std::map<std::string, TensorView>;
using Value = Pickle::Value;
using Kind = Value::Kind;

constexpr int64_t kFreeCopies = int64_t{64} << 20;

/// torch.save before 1.6 begins with its magic number, 0x1950a86a20f9469cfc6c, as a pickle.
constexpr std::string_view kLegacyMagic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
constexpr int64_t kLegacyProtocol = 1001;

/// What a tensor says of its storage: ("storage", class, key, device, elements[, view]).
struct StorageId {
  std::string key;
  Dtype dtype;
  int64_t count;  ///< Elements of the whole storage.
  int64_t view_offset = 0;
  std::optional<int64_t> view_count;  ///< Only before 1.6: a part of the storage that counts as one.
};

int64_t integer_of(const Value& value, const std::string& where) {
  require(value.kind == Kind::integer && value.text.empty(), Fault::bad_file, where,
          " has something else where a number belongs");
  return value.integer;
}

StorageId parse_storage_id(const Pickle& pickle, const Value& value, const std::string& where) {
  const Value* tuple = value.kind == Kind::persistent ? &pickle[value.items[0]] : nullptr;
  const bool plausible = tuple != nullptr && tuple->kind == Kind::sequence && tuple->items.size() >= 5 &&
                         pickle[tuple->items[0]].text == "storage" && pickle[tuple->items[2]].kind == Kind::text;
  require(plausible, Fault::bad_file, where, " names its storage in an unknown way");
  const std::optional<Dtype> dtype = torch_storage_dtype(pickle[tuple->items[1]].text);
  require(dtype.has_value(), Fault::bad_file, where, " has a storage of the type ",
          in_quotes(pickle[tuple->items[1]].text), ", which is not supported");
  StorageId out{pickle[tuple->items[2]].text, *dtype, integer_of(pickle[tuple->items[4]], where), 0, std::nullopt};
  const Value* view = tuple->items.size() > 5 ? &pickle[tuple->items[5]] : nullptr;
  if (view == nullptr || view->kind == Kind::none) return out;
  require(view->kind == Kind::sequence && view->items.size() == 3, Fault::bad_file, where,
          " has a storage view of an unknown kind");
  out.view_offset = integer_of(pickle[view->items[1]], where);
  out.view_count = integer_of(pickle[view->items[2]], where);
  return out;
}

std::vector<int64_t> integers_of(const Value& value, const Pickle& pickle, const std::string& where) {
  require(value.kind == Kind::sequence, Fault::bad_file, where, " has something else where a list of sizes belongs");
  std::vector<int64_t> out;
  for (const Pickle::Id id : value.items) out.push_back(integer_of(pickle[id], where));
  return out;
}

/// Storages by key. The two formats differ in where these lie.
class Storages {
 public:
  virtual ~Storages() = default;
  /// All bytes of the storage, aligned to its dtype.
  virtual const Bytes& get(const StorageId& id, const std::string& where) = 0;
};

class ZipStorages : public Storages {
 public:
  ZipStorages(const ZipArchive& archive, std::string folder) : archive_(archive), folder_(std::move(folder)) {}

  const Bytes& get(const StorageId& id, const std::string& where) override {
    const auto [entry, is_new] = read_.try_emplace(id.key);
    if (!is_new) return entry->second;
    const std::string name = folder_ + "data/" + id.key;
    require(archive_.entries().contains(name), Fault::bad_file, where, " needs the storage ", in_quotes(id.key),
            ", which is missing");
    // Aligned for any dtype: another tensor may read the same storage as a wider one.
    return entry->second = aligned(archive_.read(name), sizeof(int64_t));
  }

 private:
  const ZipArchive& archive_;
  std::string folder_;
  std::map<std::string, Bytes> read_;
};

class LegacyStorages : public Storages {
 public:
  explicit LegacyStorages(std::map<std::string, Bytes> storages) : storages_(std::move(storages)) {}

  const Bytes& get(const StorageId& id, const std::string& where) override {
    const auto found = storages_.find(id.key);
    require(found != storages_.end(), Fault::bad_file, where, " needs the storage ", in_quotes(id.key),
            ", which is missing");
    return found->second;
  }

 private:
  std::map<std::string, Bytes> storages_;
};

/// Builds the tensors that the pickle describes.
class TensorBuilder {
 public:
  TensorBuilder(const Pickle& pickle, Storages& storages, const Bytes& file)
      : pickle_(pickle), storages_(storages), file_(file.file) {
    int64_t size = 0;
    if (!multiply(static_cast<int64_t>(file.span.size()), 2, size) || !add(size, kFreeCopies, size)) size = kFreeCopies;
    budget_.bytes = size;
  }

  /// Of a module of TorchScript: modules are dicts of their attributes.
  Tensors build_module() {
    Tensors out;
    std::vector<Module> waiting{{&pickle_.root(), "", 0}};
    std::size_t entries = 0;
    while (!waiting.empty()) {
      const Module module = std::move(waiting.back());
      waiting.pop_back();
      entries += module.attributes->items.size();
      require(module.depth <= kMaxModuleDepth && entries <= kMaxAttributes, Fault::bad_file, file_,
              ": its modules hold each other, or there are too many of them");
      add_module(module, waiting, out);
    }
    require(!out.empty(), Fault::bad_file, file_, ": is an archive of TorchScript without a tensor");
    return out;
  }

  Tensors build() {
    const Value& root = pickle_.root();
    std::vector<const Value*> candidates{&root};
    for (const char* key : {"state_dict", "model", "module"}) candidates.push_back(pickle_.entry(root, key));
    for (const Value* candidate : candidates) {
      Tensors tensors = candidate == nullptr ? Tensors{} : build_dict(*candidate);
      if (!tensors.empty()) return tensors;
    }
    fail(Fault::bad_file, file_, ": holds no dict of named tensors, nor one under 'state_dict' or 'model'");
  }

 private:
  static constexpr int kMaxModuleDepth = 64;
  static constexpr std::size_t kMaxAttributes = 1'000'000;
  struct Module {
    const Value* attributes;
    std::string prefix;  ///< "visual.conv1."
    int depth;
  };

  void add_module(const Module& module, std::vector<Module>& waiting, Tensors& out) {
    const std::vector<Pickle::Id>& items = module.attributes->items;
    for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
      const Value &name = pickle_[items[i]], &value = pickle_[items[i + 1]];
      if (name.kind != Kind::text) continue;
      const std::string whole = module.prefix + name.text;
      if (value.kind == Kind::dict) waiting.push_back({&value, whole + ".", module.depth + 1});
      const Value* call = tensor_call(value);
      if (call == nullptr) continue;
      const std::string where = concat(file_, ": tensor ", in_quotes(whole));
      require(out.emplace(whole, build_tensor(*call, where)).second, Fault::bad_file, where, " stands twice");
    }
  }

  Tensors build_dict(const Value& dict) {
    Tensors out;
    if (dict.kind != Kind::dict) return out;
    for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      const Value& name = pickle_[dict.items[i]];
      const Value* call = tensor_call(pickle_[dict.items[i + 1]]);
      if (name.kind != Kind::text || call == nullptr) continue;
      const std::string where = concat(file_, ": tensor ", in_quotes(name.text));
      require(out.emplace(name.text, build_tensor(*call, where)).second, Fault::bad_file, where, " stands twice");
    }
    return out;
  }

  /// The call that makes a tensor, without the wrapping of a Parameter; null if the value is not a tensor.
  const Value* tensor_call(const Value& value) const {
    const Value* inner = &value;
    // Once: a hostile Parameter may hold itself.
    if (inner->kind == Kind::call && pickle_[inner->items[0]].text == kTorchParameter) {
      const Value& arguments = pickle_[inner->items[1]];
      if (arguments.items.empty()) return nullptr;
      inner = &pickle_[arguments.items[0]];
    }
    return inner->kind == Kind::call && is_torch_tensor(pickle_[inner->items[0]].text) ? inner : nullptr;
  }

  TensorView build_tensor(const Value& call, const std::string& where) {
    const std::vector<Pickle::Id>& arguments = pickle_[call.items[1]].items;
    require(arguments.size() >= 4, Fault::bad_file, where, " is described by too few values");
    const StorageId id = parse_storage_id(pickle_, pickle_[arguments[0]], where);
    const Layout layout{integer_of(pickle_[arguments[1]], where), integers_of(pickle_[arguments[2]], pickle_, where),
                        integers_of(pickle_[arguments[3]], pickle_, where)};
    return cut_tensor(storage(id, where), id.dtype, layout, budget_, where);
  }

  Bytes storage(const StorageId& id, const std::string& where) {
    const Bytes& all = storages_.get(id, where);
    int64_t size = 0;
    require(multiply(id.count, size_of(id.dtype), size) && size <= static_cast<int64_t>(all.span.size()),
            Fault::bad_file, where, " claims a storage of ", id.count, " elements of ", name_of(id.dtype),
            ", the file holds ", all.span.size(), " bytes");
    if (!id.view_count) return all.slice(0, static_cast<std::size_t>(size));
    int64_t end = 0;
    require(add(id.view_offset, *id.view_count, end) && end <= id.count, Fault::bad_file, where,
            " claims a part of its storage that lies outside");
    return all.slice(static_cast<std::size_t>(id.view_offset * size_of(id.dtype)),
                     static_cast<std::size_t>(*id.view_count * size_of(id.dtype)));
  }

  const Pickle& pickle_;
  Storages& storages_;
  std::string file_;
  CopyBudget budget_{};
};

Tensors parse_zip(const Bytes& bytes) {
  const ZipArchive archive(bytes);
  std::string folder;
  for (const auto& [name, entry] : archive.entries()) {
    if (!name.ends_with("/data.pkl")) continue;
    require(folder.empty(), Fault::bad_file, bytes.file, ": holds more than one data.pkl");
    folder = name.substr(0, name.size() - std::string_view("data.pkl").size());
  }
  require(!folder.empty(), Fault::bad_file, bytes.file,
          ": is a zip file without data.pkl, so torch.save did not write it");
  if (archive.entries().contains(folder + "byteorder")) {
    require(as_text(archive.read(folder + "byteorder").span) == "little", Fault::bad_file, bytes.file,
            ": was written on a big-endian machine, which is not supported");
  }
  const Pickle pickle(archive.read(folder + "data.pkl"), torch_role);
  ZipStorages storages(archive, folder);
  TensorBuilder builder(pickle, storages, bytes);
  const auto code = archive.entries().lower_bound(folder + "code/");
  const bool is_script = code != archive.entries().end() && code->first.starts_with(folder + "code/");
  return is_script ? builder.build_module() : builder.build();
}

/// Before 1.6: pickles of magic number, protocol, machine, object and storage keys; then for each key the number of
/// elements (int64) and the elements.
class LegacyReader {
 public:
  explicit LegacyReader(const Bytes& bytes) : bytes_(bytes), at_(kLegacyMagic.size()) {}

  Tensors read() {
    const Pickle protocol = next();
    require(protocol.root().kind == Kind::integer && protocol.root().integer == kLegacyProtocol, Fault::bad_file,
            bytes_.file, ": has an unknown version of the format before PyTorch 1.6");
    const Pickle machine = next();
    const Value* little = machine.entry(machine.root(), "little_endian");
    require(little != nullptr && little->integer == 1, Fault::bad_file, bytes_.file,
            ": was written on a big-endian machine, which is not supported");
    const Pickle object = next();
    const Pickle keys = next();
    LegacyStorages storages(read_storages(object, keys));
    return TensorBuilder(object, storages, bytes_).build();
  }

 private:
  Pickle next() {
    Pickle pickle(bytes_.slice(at_, bytes_.span.size() - at_), torch_role);
    at_ += pickle.consumed();
    return pickle;
  }

  std::map<std::string, Bytes> read_storages(const Pickle& object, const Pickle& keys) {
    const std::string where = bytes_.file + ": the list of storages";
    std::map<std::string, Dtype> dtypes;
    for (const Value& value : object.values()) {
      if (value.kind != Kind::persistent) continue;
      const StorageId id = parse_storage_id(object, value, where);
      require(dtypes.emplace(id.key, id.dtype).first->second == id.dtype, Fault::bad_file, where, " has ",
              in_quotes(id.key), " with two dtypes");
    }
    require(keys.root().kind == Kind::sequence, Fault::bad_file, where, " is not a list");
    std::map<std::string, Bytes> out;
    for (const Pickle::Id id : keys.root().items) {
      const std::string& key = keys[id].text;
      const auto dtype = dtypes.find(key);
      require(dtype != dtypes.end(), Fault::bad_file, where, " has ", in_quotes(key), ", which no tensor uses");
      require(out.emplace(key, read_storage(dtype->second, where)).second, Fault::bad_file, where, " has ",
              in_quotes(key), " twice");
    }
    return out;
  }

  Bytes read_storage(Dtype dtype, const std::string& where) {
    const std::size_t left = bytes_.span.size() - at_;
    require(left >= sizeof(int64_t), Fault::bad_file, where, " goes on after the end of the file; is it cut off?");
    const auto count = little_endian<int64_t>(bytes_.span, at_);
    int64_t size = 0;
    require(multiply(count, size_of(dtype), size) && size <= static_cast<int64_t>(left - sizeof(int64_t)),
            Fault::bad_file, where, " claims ", count, " elements of ", name_of(dtype), " at byte ", at_,
            ", more than the file holds; is it cut off?");
    at_ += sizeof(int64_t);
    Bytes storage = bytes_.slice(at_, static_cast<std::size_t>(size));
    at_ += storage.span.size();
    return aligned(std::move(storage), static_cast<std::size_t>(size_of(dtype)));
  }

  const Bytes& bytes_;
  std::size_t at_;
};

}  // namespace

Tensors parse_torch(const Bytes& bytes) {
  if (ZipArchive::recognises(bytes.span)) return parse_zip(bytes);
  if (as_text(bytes.span).starts_with(kLegacyMagic)) return LegacyReader(bytes).read();
  fail(Fault::bad_file, bytes.file,
       ": is not a file that torch.save wrote (neither a zip nor the format before PyTorch 1.6)");
}

Tensors open_torch(const std::filesystem::path& path) {
  return parse_torch(map_file(path));
}

}  // namespace lithe::io

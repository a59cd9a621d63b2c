#include "io/safetensors.h"

#include <algorithm>

#include "base/error.h"
#include "base/json_limits.h"
#include "base/printable.h"
#include "io/mapped_file.h"

namespace lithe::io {
namespace {

constexpr std::size_t kLengthField = 8;
constexpr uint64_t kMaxHeader = 100'000'000;  // the published limit
constexpr const char* kMetadata = "__metadata__";
constexpr int kMaxDimensions = 64;

/// Where one tensor lies in the data that follows the header.
struct Range {
  int64_t begin;
  int64_t end;
};

/// A number of the header that is not negative and fits in 63 bits.
std::optional<int64_t> natural(const Json& value) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > INT64_MAX) return std::nullopt;
  return value.get<int64_t>();
}

const Json& member(const Json& entry, const char* key, const std::string& where) {
  require(entry.is_object(), Fault::bad_file, where, " is not described by a JSON object");
  const auto found = entry.find(key);
  require(found != entry.end(), Fault::bad_file, where, " has no '", key, "'");
  return *found;
}

Dtype parse_dtype(const Json& entry, const std::string& where) {
  const Json& name = member(entry, "dtype", where);
  require(name.is_string(), Fault::bad_file, where, " has a dtype that is not a string");
  const std::string& text = name.get_ref<const std::string&>();
  const std::optional<Dtype> dtype = dtype_named(text);
  const bool quantised = text.starts_with("F8_") || text.starts_with("F4") || text.starts_with("F6_");
  require(dtype.has_value() || !quantised, Fault::bad_file, where, " is quantised to ", in_quotes(text),
          ", which is not read; give the original checkpoint, from before it was quantised");
  require(dtype.has_value(), Fault::bad_file, where, " has the dtype ", in_quotes(text), ", which is not supported");
  return *dtype;
}

std::vector<int64_t> parse_shape(const Json& entry, const std::string& where) {
  const Json& sizes = member(entry, "shape", where);
  require(sizes.is_array() && sizes.size() <= kMaxDimensions, Fault::bad_file, where,
          " has a shape that is not a list of at most ", kMaxDimensions, " sizes");
  std::vector<int64_t> shape;
  for (const Json& size : sizes) {
    const std::optional<int64_t> value = natural(size);
    require(value.has_value(), Fault::bad_file, where, " has the size ", in_quotes(size.dump()),
            " in its shape, expected a number of at least 0");
    shape.push_back(*value);
  }
  return shape;
}

Range parse_range(const Json& entry, int64_t data_size, const std::string& where) {
  const Json& pair = member(entry, "data_offsets", where);
  require(pair.is_array() && pair.size() == 2 && natural(pair[0]) && natural(pair[1]), Fault::bad_file, where,
          " has data_offsets that are not two numbers of at least 0");
  const Range range{*natural(pair[0]), *natural(pair[1])};
  require(range.begin <= range.end, Fault::bad_file, where, " ends at byte ", range.end, ", before its begin at ",
          range.begin);
  require(range.end <= data_size, Fault::bad_file, where, " ends at byte ", range.end, " of the data, which has ",
          data_size, "; is the file cut off?");
  return range;
}

Metadata parse_metadata(const Json& object, const std::string& file) {
  require(object.is_object(), Fault::bad_file, file, ": __metadata__ is not a JSON object");
  Metadata metadata;
  for (const auto& [key, value] : object.items()) {
    require(value.is_string(), Fault::bad_file, file, ": __metadata__ ", in_quotes(key), " is not a string");
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

/// The tensors must tile the data: as published, no holes, no overlaps, nothing left over.
void check_tiling(std::vector<std::pair<Range, const std::string*>> ranges, int64_t data_size,
                  const std::string& file) {
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.begin, a.first.end) < std::pair(b.first.begin, b.first.end);
  });
  int64_t covered = 0;
  for (const auto& [range, name] : ranges) {
    require(range.begin >= covered, Fault::bad_file, file, ": tensor ", in_quotes(*name), " begins at byte ",
            range.begin, ", inside the tensor before it, which ends at ", covered);
    require(range.begin == covered, Fault::bad_file, file, ": bytes ", covered, " to ", range.begin, " before tensor ",
            in_quotes(*name), " belong to no tensor");
    covered = range.end;
  }
  require(covered == data_size, Fault::bad_file, file, ": ", data_size - covered,
          " bytes after the last tensor belong to none");
}

std::string_view header_of(const Bytes& bytes) {
  require(bytes.span.size() >= kLengthField, Fault::bad_file, bytes.file, ": ", bytes.span.size(),
          " bytes are too few for a safetensors file");
  const auto length = little_endian<uint64_t>(bytes.span, 0);
  require(length <= kMaxHeader, Fault::bad_file, bytes.file, ": claims a header of ", length, " bytes, the limit is ",
          kMaxHeader, "; is it a safetensors file?");
  require(length <= bytes.span.size() - kLengthField, Fault::bad_file, bytes.file, ": claims a header of ", length,
          " bytes, the file has ", bytes.span.size(), "; is it cut off?");
  return as_text(bytes.span.subspan(kLengthField, length));
}

}  // namespace

SafetensorsFile parse_safetensors(const Bytes& bytes, Misaligned misaligned) {
  const std::string_view text = header_of(bytes);
  const std::string source = bytes.file + ": the header";
  const Json header = parse_json(text, source, {.max_depth = 3, .unique_keys = true});
  require(header.is_object(), Fault::bad_file, source, " is not a JSON object");
  const std::size_t data_begin = kLengthField + text.size();
  const auto data_size = static_cast<int64_t>(bytes.span.size() - data_begin);
  SafetensorsFile out;
  std::vector<std::pair<Range, const std::string*>> ranges;
  for (auto entry = header.begin(); entry != header.end(); ++entry) {
    if (entry.key() == kMetadata) {
      out.metadata = parse_metadata(entry.value(), bytes.file);
      continue;
    }
    const std::string where = concat(bytes.file, ": tensor ", in_quotes(entry.key()));
    const Dtype dtype = parse_dtype(entry.value(), where);
    std::vector<int64_t> shape = parse_shape(entry.value(), where);
    const Range range = parse_range(entry.value(), data_size, where);
    require(bytes_of(dtype, shape) == range.end - range.begin, Fault::bad_file, where, " is ", name_of(dtype), " ",
            text_of(shape), ", which does not fit its ", range.end - range.begin, " bytes");
    ranges.emplace_back(range, &entry.key());
    out.tensors[entry.key()] = {dtype, std::move(shape),
                                bytes.span.subspan(data_begin + range.begin, range.end - range.begin), bytes.owner,
                                bytes.file};
  }
  check_tiling(std::move(ranges), data_size, bytes.file);
  if (misaligned == Misaligned::copy) {
    for (auto& [name, tensor] : out.tensors) align(tensor);  // after the checks: copies are bounded by the file's size
  }
  return out;
}

SafetensorsFile open_safetensors(const std::filesystem::path& path) {
  return parse_safetensors(map_file(path));
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, const std::vector<Entry>& entries,
                                     const Metadata& metadata, OnBytes on_bytes)
    : file_(path), on_bytes_(std::move(on_bytes)) {
  // Widest dtype first, as the reference writer does, so that every tensor is aligned.
  std::vector<const Entry*> order;
  for (const Entry& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
    return std::pair(-size_of(a->dtype), a->name) < std::pair(-size_of(b->dtype), b->name);
  });
  nlohmann::ordered_json::object_t fields;
  if (!metadata.empty()) fields.push_back({kMetadata, metadata});
  int64_t end = 0;
  for (const Entry* entry : order) {
    require(entry->name != kMetadata, Fault::bad_request, path.string(), ": a tensor can't be called __metadata__");
    const std::optional<int64_t> size = bytes_of(entry->dtype, entry->shape);
    int64_t next = 0;
    require(size && add(end, *size, next), Fault::bad_request, path.string(), ": tensor ", in_quotes(entry->name),
            " can't have the shape ", text_of(entry->shape));
    require(slots_.emplace(entry->name, Slot{end, *size, false}).second, Fault::bad_request, path.string(), ": tensor ",
            in_quotes(entry->name), " is announced twice");
    fields.push_back(
        {entry->name, {{"dtype", name_of(entry->dtype)}, {"shape", entry->shape}, {"data_offsets", {end, next}}}});
    order_.push_back(entry->name);
    end = next;
  }
  total_ = end;
  std::string header = nlohmann::ordered_json(std::move(fields)).dump();
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string length(kLengthField, '\0');
  for (std::size_t i = 0; i < kLengthField; ++i) length[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);
  file_.write(length + header);
  for (auto& [name, slot] : slots_) slot.offset += static_cast<int64_t>(kLengthField + header.size());
}

void SafetensorsWriter::put(const std::string& name, std::span<const std::byte> bytes) {
  const auto slot = slots_.find(name);
  require(slot != slots_.end() && !slot->second.written, Fault::bad_request, file_.path().string(), ": tensor ",
          in_quotes(name), " was not announced, or is written twice");
  require(slot->second.size == static_cast<int64_t>(bytes.size()), Fault::bad_request, file_.path().string(),
          ": tensor ", in_quotes(name), " has ", bytes.size(), " bytes, its shape says ", slot->second.size);
  file_.write_at(slot->second.offset, bytes);
  slot->second.written = true;
  done_ += slot->second.size;
  if (on_bytes_) on_bytes_(done_, total_);
}

void SafetensorsWriter::commit() {
  for (const auto& [name, slot] : slots_) {
    require(slot.written, Fault::bad_request, file_.path().string(), ": tensor ", in_quotes(name),
            " was announced, but not written");
  }
  file_.commit();
}

void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, TensorView>>& tensors, const Metadata& metadata) {
  std::vector<SafetensorsWriter::Entry> entries;
  for (const auto& [name, tensor] : tensors) entries.push_back({name, tensor.dtype, tensor.shape});
  SafetensorsWriter writer(path, entries, metadata);
  std::map<std::string_view, std::span<const std::byte>> bytes;
  for (const auto& [name, tensor] : tensors) bytes.emplace(name, tensor.bytes);
  for (const std::string& name : writer.order()) writer.put(name, bytes.at(name));
  writer.commit();
}

}  // namespace lithe::io

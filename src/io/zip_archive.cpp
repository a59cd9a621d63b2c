#include "io/zip_archive.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/printable.h"

namespace lithe::io {
namespace {

// Signatures and fixed sizes of the records (APPNOTE 6.3.10, section 4.3).
constexpr uint32_t kLocal = 0x04034b50;
constexpr uint32_t kCentral = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50;
constexpr uint32_t kLocator64 = 0x07064b50;
constexpr std::size_t kLocalSize = 30;
constexpr std::size_t kCentralSize = 46;
constexpr std::size_t kEndSize = 22;
constexpr std::size_t kEnd64Size = 56;
constexpr std::size_t kLocator64Size = 20;
constexpr uint32_t kInExtra = 0xffffffff;  // "the real value is in the zip64 field"
constexpr uint16_t kStored = 0;
constexpr uint16_t kDeflated = 8;
constexpr int64_t kFreeUnpacking = int64_t{64} << 20;
constexpr int64_t kMaxRatio = 64;

using Span = std::span<const std::byte>;

/// The values of a zip64 extra field, in order; empty when there is none.
std::vector<int64_t> zip64_values(Span extra, const std::string& where) {
  while (extra.size() >= 4) {
    const auto id = little_endian<uint16_t>(extra, 0);
    const auto size = little_endian<uint16_t>(extra, 2);
    require(size <= extra.size() - 4, Fault::bad_file, where, " has an extra field that is cut off");
    if (id == 1) {
      std::vector<int64_t> values;
      for (std::size_t at = 4; at + 8 <= size + std::size_t{4}; at += 8)
        values.push_back(little_endian<int64_t>(extra, at));
      return values;
    }
    extra = extra.subspan(std::size_t{4} + size);
  }
  return {};
}

bool leads_out(std::string_view name) {
  if (name.empty() || name.front() == '/' || name.find('\\') != name.npos || name.find('\0') != name.npos) return true;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    if (name.substr(begin, end - begin) == "..") return true;
    begin = end + 1;
  }
  return false;
}

Bytes inflate_entry(Span packed, const ZipArchive::Entry& entry, const std::string& file, const std::string& where) {
  const std::shared_ptr<std::byte> buffer = allocate_aligned(static_cast<std::size_t>(entry.size));
  z_stream stream{};
  require(inflateInit2(&stream, -MAX_WBITS) == Z_OK, Fault::no_memory, where, " can't be unpacked: not enough memory");
  const std::shared_ptr<z_stream> guard(&stream, [](z_stream* open) { inflateEnd(open); });
  constexpr std::size_t kStep = std::numeric_limits<uInt>::max();
  auto rest = static_cast<std::size_t>(entry.size);
  std::byte end_probe{};  // a stream that goes on after `size` bytes writes here
  stream.next_out = reinterpret_cast<Bytef*>(buffer.get());
  bool probing = false;
  int status = Z_OK;
  while (status == Z_OK) {
    if (stream.avail_in == 0 && !packed.empty()) {
      stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(packed.data()));
      stream.avail_in = static_cast<uInt>(std::min(packed.size(), kStep));
      packed = packed.subspan(stream.avail_in);
    }
    if (stream.avail_out == 0 && rest > 0) {
      stream.avail_out = static_cast<uInt>(std::min(rest, kStep));
      rest -= stream.avail_out;
    } else if (stream.avail_out == 0 && !probing) {
      probing = true;
      stream.next_out = reinterpret_cast<Bytef*>(&end_probe);
      stream.avail_out = 1;
    }
    status = inflate(&stream, Z_NO_FLUSH);
  }
  const bool whole = status == Z_STREAM_END && stream.total_out == static_cast<uLong>(entry.size);
  require(whole, Fault::bad_file, where, " does not unpack to the ", entry.size, " bytes that the directory claims");
  uLong crc = crc32(0, nullptr, 0);
  crc = crc32_z(crc, reinterpret_cast<const Bytef*>(buffer.get()), static_cast<z_size_t>(entry.size));
  require(crc == entry.crc, Fault::bad_file, where, " is damaged: its checksum does not fit");
  return {{buffer.get(), static_cast<std::size_t>(entry.size)}, buffer, file};
}

}  // namespace

struct ZipArchive::Directory {
  int64_t begin;
  int64_t size;
  int64_t entries;
};

bool ZipArchive::recognises(Span bytes) {
  return bytes.size() >= 4 &&
         (little_endian<uint32_t>(bytes, 0) == kLocal || little_endian<uint32_t>(bytes, 0) == kEnd);
}

ZipArchive::ZipArchive(Bytes bytes) : bytes_(std::move(bytes)) {
  const Directory directory = find_directory();
  Span rest = bytes_.span.subspan(static_cast<std::size_t>(directory.begin), static_cast<std::size_t>(directory.size));
  int64_t count = 0;
  for (; !rest.empty(); ++count) {
    require(rest.size() >= kCentralSize && little_endian<uint32_t>(rest, 0) == kCentral, Fault::bad_file, bytes_.file,
            ": entry ", count, " of the zip directory is damaged");
    const std::size_t name_size = little_endian<uint16_t>(rest, 28);
    const std::size_t extra_size = little_endian<uint16_t>(rest, 30);
    const std::size_t total = kCentralSize + name_size + extra_size + little_endian<uint16_t>(rest, 32);
    require(total <= rest.size(), Fault::bad_file, bytes_.file, ": entry ", count, " of the zip directory is cut off");
    add_entry(rest, rest.subspan(kCentralSize, name_size), rest.subspan(kCentralSize + name_size, extra_size));
    rest = rest.subspan(total);
  }
  require(count == directory.entries, Fault::bad_file, bytes_.file, ": the zip directory claims ", directory.entries,
          " entries and has ", count);
  check_entries(directory.begin);
}

ZipArchive::Directory ZipArchive::find_directory() const {
  const Span all = bytes_.span;
  // The end record is followed by a comment of at most 65535 bytes, whose length it holds.
  std::size_t end = all.size();
  for (std::size_t back = kEndSize; back <= std::min<std::size_t>(all.size(), kEndSize + 0xffff) && end == all.size();
       ++back) {
    const std::size_t at = all.size() - back;
    if (little_endian<uint32_t>(all, at) == kEnd && little_endian<uint16_t>(all, at + 20) == back - kEndSize) end = at;
  }
  require(end < all.size(), Fault::bad_file, bytes_.file,
          ": the zip directory at its end is missing; is the file cut off?");
  Directory out{little_endian<uint32_t>(all, end + 16), little_endian<uint32_t>(all, end + 12),
                little_endian<uint16_t>(all, end + 10)};
  std::size_t limit = end;
  if (end >= kLocator64Size && little_endian<uint32_t>(all, end - kLocator64Size) == kLocator64) {
    const auto at = little_endian<uint64_t>(all, end - kLocator64Size + 8);
    limit = end - kLocator64Size;
    require(at <= limit && limit - at >= kEnd64Size && little_endian<uint32_t>(all, at) == kEnd64, Fault::bad_file,
            bytes_.file, ": the zip64 end record is not where its locator says");
    out = {little_endian<int64_t>(all, at + 48), little_endian<int64_t>(all, at + 40),
           little_endian<int64_t>(all, at + 32)};
    limit = at;
  }
  int64_t directory_end = 0;
  require(add(out.begin, out.size, directory_end) && directory_end <= static_cast<int64_t>(limit), Fault::bad_file,
          bytes_.file, ": the zip directory claims ", out.size, " bytes at ", out.begin,
          ", which lie outside the file");
  return out;
}

void ZipArchive::add_entry(Span record, Span name_bytes, Span extra) {
  const std::string name(as_text(name_bytes));
  const std::string where = concat(bytes_.file, ": zip entry ", in_quotes(name));
  require(!leads_out(name), Fault::bad_file, where, " has a name that leads out of its folder");
  require((little_endian<uint16_t>(record, 8) & 1) == 0, Fault::bad_file, where, " is encrypted");
  const auto method = little_endian<uint16_t>(record, 10);
  require(method == kStored || method == kDeflated, Fault::bad_file, where, " is packed by method ", method,
          "; only stored and deflated entries are read");
  Entry entry{method == kDeflated, little_endian<uint32_t>(record, 16), 0, 0, 0};
  const std::vector<int64_t> wide = zip64_values(extra, where);
  std::size_t used = 0;
  const auto field = [&](std::size_t offset) -> int64_t {
    const auto narrow = little_endian<uint32_t>(record, offset);
    if (narrow != kInExtra) return narrow;
    require(used < wide.size() && wide[used] >= 0, Fault::bad_file, where, " lacks a valid zip64 size");
    return wide[used++];
  };
  entry.size = field(24);
  entry.packed = field(20);
  entry.offset = field(42);
  require(entry.deflated || entry.packed == entry.size, Fault::bad_file, where, " is stored, yet claims ", entry.packed,
          " bytes for ", entry.size);
  require(entries_.emplace(name, entry).second, Fault::bad_file, where, " stands twice in the directory");
}

void ZipArchive::check_entries(int64_t directory_begin) const {
  const int64_t limit =
      kFreeUnpacking + kMaxRatio * static_cast<int64_t>(std::min<std::size_t>(bytes_.span.size(), INT64_MAX / 128));
  std::vector<const std::pair<const std::string, Entry>*> order;
  int64_t unpacked = 0;
  for (const auto& item : entries_) {
    order.push_back(&item);
    require(!item.second.deflated || (add(unpacked, item.second.size, unpacked) && unpacked <= limit), Fault::bad_file,
            bytes_.file, ": would unpack to more than ", kMaxRatio,
            " times its size; it is refused as a decompression bomb");
  }
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return a->second.offset < b->second.offset; });
  int64_t end = 0;
  for (const auto* item : order) {
    const Entry& entry = item->second;
    const std::string& name = item->first;
    require(entry.offset >= end, Fault::bad_file, bytes_.file, ": zip entry ", in_quotes(name), " overlaps another");
    const bool fits = add(entry.offset, static_cast<int64_t>(kLocalSize), end) && add(end, entry.packed, end) &&
                      end <= directory_begin;
    require(fits, Fault::bad_file, bytes_.file, ": zip entry ", in_quotes(name), " of ", entry.packed, " bytes at ",
            entry.offset, " lies outside the file");
  }
}

Bytes ZipArchive::read(const std::string& name) const {
  const auto found = entries_.find(name);
  require(found != entries_.end(), Fault::bad_file, bytes_.file, ": has no entry ", in_quotes(name));
  const Entry& entry = found->second;
  const std::string where = concat(bytes_.file, ": zip entry ", in_quotes(name));
  const Span local =
      bytes_.span.subspan(static_cast<std::size_t>(entry.offset));  // check_entries: holds a local header
  require(little_endian<uint32_t>(local, 0) == kLocal, Fault::bad_file, where,
          " has no local header where it should begin");
  const std::size_t begin =
      kLocalSize + little_endian<uint16_t>(local, 26) + std::size_t{little_endian<uint16_t>(local, 28)};
  const auto packed = static_cast<std::size_t>(entry.packed);
  require(begin <= local.size() && packed <= local.size() - begin, Fault::bad_file, where, " lies outside the file");
  if (entry.deflated) return inflate_entry(local.subspan(begin, packed), entry, bytes_.file, where);
  return bytes_.slice(static_cast<std::size_t>(entry.offset) + begin, packed);
}

}  // namespace lithe::io

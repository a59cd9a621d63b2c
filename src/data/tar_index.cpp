#include "data/tar_index.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/printable.h"
#include "io/bytes.h"

namespace lithe::data {
namespace {

using Span = std::span<const std::byte>;

// POSIX.1-2001, "ustar interchange format": blocks of 512 bytes, a header and then the bytes of a file.
constexpr std::size_t kBlock = 512;
constexpr std::size_t kMaxNameBytes = 4096;

std::string_view field(Span header, std::size_t at, std::size_t size) {
  const std::string_view text = io::as_text(header.subspan(at, size));
  return text.substr(0, text.find('\0'));
}

/// A number in octal, or in the base 256 of GNU for what octal can't hold; absent if it is neither.
std::optional<uint64_t> number(Span header, std::size_t at, std::size_t size) {
  uint64_t value = 0;
  if (std::to_integer<unsigned>(header[at]) == 0x80) {
    for (std::size_t i = 1; i < size; ++i) {
      if (value >> 55 != 0) return std::nullopt;
      value = value << 8 | std::to_integer<uint64_t>(header[at + i]);
    }
    return value;
  }
  std::string_view text = field(header, at, size);
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  for (const char c : text) {
    if (c < '0' || c > '7' || value >> 60 != 0) return std::nullopt;
    value = value * 8 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

/// The sum of the header's bytes, with spaces where it stands itself.
bool sum_fits(Span header) {
  uint64_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) sum += i >= 148 && i < 156 ? ' ' : std::to_integer<uint64_t>(header[i]);
  return number(header, 148, 8) == sum;
}

bool leads_out(std::string_view name) {
  if (name.empty() || name.front() == '/' || name.find('\0') != name.npos) return true;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    if (name.substr(begin, end - begin) == "..") return true;
    begin = end + 1;
  }
  return false;
}

/// The "path" and "size" of a pax header: lines of "LENGTH KEY=VALUE\n".
void read_pax(std::string_view text, const std::string& where, std::string& name, std::optional<uint64_t>& size) {
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    std::size_t length = 0;
    for (const char c : text.substr(0, std::min<std::size_t>(space, 8)))
      length = c >= '0' && c <= '9' ? length * 10 + static_cast<std::size_t>(c - '0') : text.size() + 1;
    require(space != text.npos && length > space + 1 && length <= text.size(), Fault::bad_file, where,
            " has a damaged pax header");
    const std::string_view line = text.substr(space + 1, length - space - 2);
    text.remove_prefix(length);
    if (line.starts_with("path=")) name = line.substr(5);
    if (!line.starts_with("size=")) continue;
    uint64_t value = 0;
    for (const char c : line.substr(5)) {
      require(c >= '0' && c <= '9' && value < UINT64_MAX / 100, Fault::bad_file, where, " has a damaged pax header");
      value = value * 10 + static_cast<uint64_t>(c - '0');
    }
    size = value;
  }
}

/// Walks the headers of an archive.
class TarReader {
 public:
  TarReader(Span archive, const std::string& file) : archive_(archive), file_(file) {}

  std::vector<TarEntry> read() {
    while (!ends()) read_entry();
    return std::move(entries_);
  }

 private:
  /// A block of zeros ends an archive.
  bool ends() const {
    require(at_ < archive_.size(), Fault::bad_file, file_, ": the archive does not end; is it cut off?");
    const Span block = archive_.subspan(at_, std::min(kBlock, archive_.size() - at_));
    return std::all_of(block.begin(), block.end(), [](std::byte b) { return b == std::byte{0}; });
  }

  void read_entry() {
    const std::string where = concat(file_, ": tar entry ", entries_.size() + 1);
    require(archive_.size() - at_ >= kBlock, Fault::bad_file, where, " is cut off");
    const Span header = archive_.subspan(at_, kBlock);
    require(sum_fits(header), Fault::bad_file, where, " has a damaged header");
    const std::optional<uint64_t> own = number(header, 124, 12);
    const std::optional<uint64_t> claimed = size_ ? size_ : own;
    const std::size_t rest = archive_.size() - at_ - kBlock;
    require(claimed && *claimed <= rest, Fault::bad_file, where,
            " claims more bytes than there are; is the file cut off?");
    const auto size = static_cast<std::size_t>(*claimed);
    take(header, std::to_integer<char>(header[156]), {"", at_ + kBlock, size}, where);
    at_ += kBlock + std::min(rest, (size + kBlock - 1) / kBlock * kBlock);
  }

  void take(Span header, char type, TarEntry entry, const std::string& where) {
    if (type == 'x' || type == 'L') {
      require(entry.size <= kMaxNameBytes * 16, Fault::bad_file, where, " has a name that is too long");
      const std::string_view text = io::as_text(archive_.subspan(entry.offset, entry.size));
      if (type == 'x')
        read_pax(text, where, name_, size_);
      else
        name_ = text.substr(0, text.find('\0'));
      return;
    }
    if (type == 'g') return;  // what holds for all files says nothing of names and sizes
    entry.name = name_.empty() ? own_name(header) : name_;
    name_.clear();
    size_.reset();
    require(entry.name.size() <= kMaxNameBytes && !leads_out(entry.name), Fault::bad_file, where, ", ",
            in_quotes(entry.name), ", has a name that leads out of its folder or is too long");
    if (type == '5') return;
    require(type == '0' || type == '\0', Fault::bad_file, where, ", ", in_quotes(entry.name),
            ", is not a regular file");
    entries_.push_back(std::move(entry));
  }

  static std::string own_name(Span header) {
    const bool ustar = io::as_text(header.subspan(257, 6)) == std::string_view("ustar\0", 6);
    const std::string prefix(ustar ? field(header, 345, 155) : "");
    return (prefix.empty() ? "" : prefix + "/") + std::string(field(header, 0, 100));
  }

  Span archive_;
  const std::string& file_;
  std::size_t at_ = 0;
  std::vector<TarEntry> entries_;
  std::string name_;              ///< Of the next entry, from a header in front of it.
  std::optional<uint64_t> size_;  ///< The same.
};

}  // namespace

bool is_tar(Span file) {
  return file.size() >= kBlock && io::as_text(file.subspan(257, 5)) == "ustar" && sum_fits(file.first(kBlock));
}

std::vector<TarEntry> index_tar(Span archive, const std::string& file) {
  return TarReader(archive, file).read();
}

}  // namespace lithe::data

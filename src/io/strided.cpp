#include "io/strided.h"

#include <algorithm>

#include "base/error.h"

namespace lithe::io {
namespace {

constexpr std::size_t kMaxStrides = 64;

bool is_row_major(const Layout& layout) {
  int64_t expected = 1;
  for (std::size_t i = layout.shape.size(); i-- > 0;) {
    if (layout.shape[i] != 1 && layout.strides[i] != expected) return false;
    expected *= layout.shape[i];  // fits: bytes_of has multiplied it
  }
  return true;
}

/// One past the last element that the layout touches; absent when it does not fit in 63 bits. No dimension is 0.
std::optional<int64_t> end_of(const Layout& layout) {
  int64_t end = 0;
  if (!add(layout.offset, 1, end)) return std::nullopt;
  for (std::size_t i = 0; i < layout.shape.size(); ++i) {
    int64_t reach = 0;
    if (!multiply(layout.shape[i] - 1, layout.strides[i], reach) || !add(end, reach, end)) return std::nullopt;
  }
  return end;
}

/// Walks the shape in row-major order; `Word` has the width of an element, whose value does not matter.
template <class Word>
void gather(const Word* from, const Layout& layout, Word* to, int64_t count) {
  const std::size_t last = layout.shape.size() - 1;
  std::vector<int64_t> index(layout.shape.size(), 0);
  int64_t at = layout.offset;
  for (int64_t done = 0; done < count; done += layout.shape[last]) {
    for (int64_t i = 0; i < layout.shape[last]; ++i) to[done + i] = from[at + i * layout.strides[last]];
    for (std::size_t d = last; d-- > 0;) {
      at += layout.strides[d];
      if (++index[d] < layout.shape[d]) break;
      at -= layout.shape[d] * layout.strides[d];
      index[d] = 0;
    }
  }
}

void gather_bytes(const Bytes& storage, Dtype dtype, const Layout& layout, std::byte* to, int64_t count) {
  const auto run = [&]<class Word>(Word) {
    gather(reinterpret_cast<const Word*>(storage.span.data()), layout, reinterpret_cast<Word*>(to), count);
  };
  switch (size_of(dtype)) {
    case 1:
      return run(uint8_t{});
    case 2:
      return run(uint16_t{});
    case 4:
      return run(uint32_t{});
    default:
      return run(uint64_t{});
  }
}

}  // namespace

TensorView cut_tensor(const Bytes& storage, Dtype dtype, const Layout& layout, CopyBudget& budget,
                      const std::string& where) {
  const bool plain = layout.shape.size() == layout.strides.size() && layout.shape.size() <= kMaxStrides &&
                     layout.offset >= 0 &&
                     std::ranges::all_of(layout.strides, [](int64_t stride) { return stride >= 0; });
  const int64_t size = plain ? bytes_of(dtype, layout.shape).value_or(-1) : -1;
  require(size >= 0, Fault::bad_file, where, " has an impossible shape ", text_of(layout.shape), " with strides ",
          text_of(layout.strides), " at ", layout.offset);
  TensorView out{dtype, layout.shape, {}, nullptr, storage.file};
  if (size == 0) return out;
  const auto held = static_cast<int64_t>(storage.span.size()) / size_of(dtype);
  const std::optional<int64_t> end = end_of(layout);
  require(end && *end <= held, Fault::bad_file, where, " of shape ", text_of(layout.shape), " with strides ",
          text_of(layout.strides), " at ", layout.offset, " leaves its storage, which has ", held, " elements");
  if (is_row_major(layout)) {
    out.bytes =
        storage.span.subspan(static_cast<std::size_t>(layout.offset * size_of(dtype)), static_cast<std::size_t>(size));
    out.owner = storage.owner;
    return out;
  }
  require(size <= budget.bytes, Fault::bad_file, where, " of shape ", text_of(layout.shape),
          " repeats its elements beyond what the file's size allows");
  budget.bytes -= size;
  const std::shared_ptr<std::byte> copy = allocate_aligned(static_cast<std::size_t>(size));
  gather_bytes(storage, dtype, layout, copy.get(), size / size_of(dtype));
  out.bytes = {copy.get(), static_cast<std::size_t>(size)};
  out.owner = copy;
  return out;
}

}  // namespace lithe::io

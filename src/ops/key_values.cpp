#include "ops/key_values.h"

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "ops/gpu_rows.h"
#include "ops/own_loops.h"

namespace lithe::ops {
namespace {

enum Half : int64_t { kKeys, kValues };

bool is_only_block(const Tensor& block) {
  return block.dim() == 4;
}

/// The keys or the values of a block, with their axes in the order in which the products give them.  -> [capacity,
/// kv_heads, head_dim]
Tensor rows_of(const Tensor& block, Half which) {
  if (is_only_block(block)) return block.select(0, which);
  const int64_t heads = block.size(0), width = block.size(2) / kBlockRows;
  const Tensor half = block.select(1, which);  // [kv_heads, kBlockRows * head_dim]
  return which == kKeys ? half.view({heads, width, kBlockRows}).permute({2, 0, 1})
                        : half.view({heads, kBlockRows, width}).transpose(0, 1);
}

/// One head's part of a block of int8.
template <class Bytes>
struct CodedHead {
  Bytes *keys, *values;
  std::conditional_t<std::is_const_v<Bytes>, const float, float>*key_scales, *value_scales;

  CodedHead(Bytes* data, int64_t width)
      : keys(data),
        values(data + kBlockRows * width),
        key_scales(reinterpret_cast<decltype(key_scales)>(data + 2 * kBlockRows * width)),
        value_scales(key_scales + kBlockRows) {}
};

/// As rows_of, of a block of int8.  -> [kBlockRows, kv_heads, head_dim] float32
Tensor coded_rows_of(const Tensor& block, Half which, int64_t width) {
  const int64_t heads = block.size(0);
  const Tensor rows = at::empty({kBlockRows, heads, width}, at::kFloat);
  auto* const out = rows.mutable_data_ptr<float>();
  for (int64_t head = 0; head < heads; ++head) {
    const CodedHead codes(block.const_data_ptr<int8_t>() + head * block.size(1), width);
    for (int64_t row = 0; row < kBlockRows; ++row) {
      for (int64_t i = 0; i < width; ++i) {
        out[(row * heads + head) * width + i] = which == kKeys
                                                    ? codes.key_scales[row] * codes.keys[i * kBlockRows + row]
                                                    : codes.value_scales[row] * codes.values[row * width + i];
      }
    }
  }
  return rows;
}

Tensor all_rows(const KeyValueView& view, Half which, const Tensor& like) {
  std::vector<Tensor> pieces;
  int64_t first = 0;
  for (const Tensor& block : view.held.blocks) {
    const int64_t rows = std::min(capacity_of(block), view.held.rows() - first);
    if (rows <= 0) break;
    first += rows;
    const bool coded = kind_of(block) == KeyValueKind::int8;
    const Tensor all = coded ? coded_rows_of(block, which, like.size(-1)) : rows_of(block, which);
    pieces.push_back(all.narrow(0, 0, rows).to(like.scalar_type()));
  }
  if (view.fresh.rows() > 0 || pieces.empty()) pieces.push_back(which == kKeys ? view.fresh.keys : view.fresh.values);
  return pieces.size() == 1 ? pieces.front() : at::cat(pieces);
}

/// Columns of keys that are written together: source and destination then stay in the nearest cache.
constexpr int64_t kColumnsTogether = 16;

template <class Stored>
void store_head(Stored* data, int64_t first, const float* keys, const float* values, int64_t rows, int64_t stride,
                int64_t width) {
  for (int64_t from = 0; from < width; from += kColumnsTogether) {
    const int64_t to = std::min(width, from + kColumnsTogether);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t i = from; i < to; ++i)
        data[i * kBlockRows + first + row] = static_cast<Stored>(keys[row * stride + i]);
    }
  }
  Stored* out = data + (kBlockRows + first) * width;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < width; ++i) out[row * width + i] = static_cast<Stored>(values[row * stride + i]);
  }
}

template <class Stored>
void store_plain(const Tensor& block, int64_t first, const Tensor& keys, const Tensor& values) {
  const int64_t rows = keys.size(0), heads = keys.size(1), width = keys.size(2);
  const float *key = keys.const_data_ptr<float>(), *value = values.const_data_ptr<float>();
  auto* const data = block.mutable_data_ptr<Stored>();
  at::parallel_for(0, heads, grain_rows(rows * width), [&](int64_t begin, int64_t end) {
    for (int64_t head = begin; head < end; ++head) {
      store_head(data + head * 2 * kBlockRows * width, first, key + head * width, value + head * width, rows,
                 heads * width, width);
    }
  });
}

/// Rounds one head's key or value to codes `step` bytes apart.  -> its scale, NaN if a number is not finite
float put_codes(const float* values, int64_t width, int8_t* codes, int64_t step) {
  constexpr float kMost = 127;
  float largest = 0;
  bool finite = true;
  for (int64_t i = 0; i < width; ++i) {
    finite = finite && std::isfinite(values[i]);
    largest = std::max(largest, std::abs(values[i]));
  }
  const float scale = largest / kMost, inverse = std::isfinite(1 / scale) ? 1 / scale : 0;
  for (int64_t i = 0; i < width; ++i)
    codes[i * step] = static_cast<int8_t>(finite ? std::nearbyint(values[i] * inverse) : 0);
  return finite ? scale : std::numeric_limits<float>::quiet_NaN();
}

void store_coded(const Tensor& block, int64_t first, const Tensor& keys, const Tensor& values) {
  const int64_t rows = keys.size(0), heads = keys.size(1), width = keys.size(2);
  const float *key = keys.const_data_ptr<float>(), *value = values.const_data_ptr<float>();
  auto* const data = block.mutable_data_ptr<int8_t>();
  at::parallel_for(0, heads, grain_rows(rows * width), [&](int64_t begin, int64_t end) {
    for (int64_t head = begin; head < end; ++head) {
      const CodedHead to(data + head * block.size(1), width);
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t from = (row * heads + head) * width, at = first + row;
        to.key_scales[at] = put_codes(key + from, width, to.keys + at, kBlockRows);
        to.value_scales[at] = put_codes(value + from, width, to.values + at * width, 1);
      }
    }
  });
}

at::ScalarType stored_type(const Tensor& keys, KeyValueKind kind) {
  if (kind == KeyValueKind::int8) return at::kChar;
  return kind == KeyValueKind::bfloat16 ? at::kBFloat16 : keys.scalar_type();
}

bool is_plain(const Tensor& x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous();
}

}  // namespace

FreshRows FreshRows::some(int64_t first, int64_t count) const {
  return {keys.narrow(0, first, count), values.narrow(0, first, count),
          positions.subspan(static_cast<size_t>(first), static_cast<size_t>(count))};
}

std::vector<FreshRows> cut_rows(const FreshRows& rows, const std::vector<int64_t>& offsets) {
  std::vector<int64_t> counts;
  for (size_t i = 0; i + 1 < offsets.size(); ++i) counts.push_back(offsets[i + 1] - offsets[i]);
  const std::vector<Tensor> keys = rows.keys.split_with_sizes(counts), values = rows.values.split_with_sizes(counts);
  std::vector<FreshRows> cut;
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto positions = rows.positions.subspan(static_cast<size_t>(offsets[i]), static_cast<size_t>(counts[i]));
    cut.push_back({keys[i], values[i], positions});
  }
  return cut;
}

int64_t KeyValueView::rows_up_to(int64_t position) const {
  const auto count = [position](std::span<const int64_t> positions) {
    return std::upper_bound(positions.begin(), positions.end(), position) - positions.begin();
  };
  return count(held.positions) + count(fresh.positions);
}

KeyValueKind kind_of(const Tensor& block) {
  if (block.scalar_type() == at::kChar) return KeyValueKind::int8;
  return block.scalar_type() == at::kBFloat16 ? KeyValueKind::bfloat16 : KeyValueKind::float32;
}

int64_t KeyValueView::kv_heads() const {
  if (held.blocks.empty()) return fresh.keys.size(1);
  const Tensor& block = held.blocks.front();
  return is_only_block(block) ? block.size(2) : block.size(0);
}

int64_t capacity_of(const Tensor& block) {
  return is_only_block(block) ? block.size(1) : kBlockRows;
}

Tensor empty_block(const Tensor& keys, KeyValueKind kind) {
  const at::TensorOptions options = keys.options().dtype(stored_type(keys, kind)).requires_grad(false);
  if (kind == KeyValueKind::int8)
    return at::empty({keys.size(1), kBlockRows * pair_bytes(kind, keys.size(2))}, options);
  return at::empty({keys.size(1), 2, kBlockRows * keys.size(2)}, options);
}

Tensor only_block(const Tensor& keys, KeyValueKind kind, int64_t rows) {
  return at::empty({2, blocks_for(rows) * kBlockRows, keys.size(1), keys.size(2)},
                   keys.options().dtype(stored_type(keys, kind)).requires_grad(false));
}

Tensor wider_block(const Tensor& block, int64_t held, int64_t rows) {
  Tensor wider = at::empty({2, blocks_for(rows) * kBlockRows, block.size(2), block.size(3)}, block.options());
  wider.narrow(1, 0, held).copy_(block.narrow(1, 0, held));
  return wider;
}

void store_rows(const Tensor& block, int64_t first, const Tensor& keys, const Tensor& values) {
  if (kind_of(block) == KeyValueKind::int8) {
    const auto plain = [](const Tensor& x) { return x.detach().to(at::kFloat).contiguous(); };
    return store_coded(block, first, plain(keys), plain(values));
  }
  if (is_plain(keys) && is_plain(values) && !is_only_block(block)) {
    if (block.scalar_type() == at::kFloat) return store_plain<float>(block, first, keys, values);
    if (block.scalar_type() == at::kBFloat16) return store_plain<at::BFloat16>(block, first, keys, values);
  }
  const Tensor to_keys = rows_of(block, kKeys).narrow(0, first, keys.size(0)),
               to_values = rows_of(block, kValues).narrow(0, first, values.size(0));
  const auto as_kernel = [&](const Tensor& x) {
    return x.scalar_type() == block.scalar_type() && x.stride(1) == x.size(2) && takes_gpu_kernels(x);
  };
  if (is_only_block(block) && as_kernel(keys) && as_kernel(values)) return gpu_store(keys, values, to_keys, to_values);
  to_keys.copy_(keys.detach());
  to_values.copy_(values.detach());
}

Tensor all_keys(const KeyValueView& view, const Tensor& like) {
  return all_rows(view, kKeys, like);
}

Tensor all_values(const KeyValueView& view, const Tensor& like) {
  return all_rows(view, kValues, like);
}

}  // namespace lithe::ops

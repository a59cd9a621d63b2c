#include "checkpoints/read/packed_codes.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "checkpoints/read/tensor_over.h"

namespace lithe::models {
namespace {

/// Two codes to a byte, as ops/weight_view.h says.
void put_int4(const uint8_t* codes, int64_t width, uint8_t* to) {
  constexpr int64_t kHalf = ops::kCodeBlock / 2;
  for (int64_t block = 0; block < width; block += ops::kCodeBlock) {
    for (int64_t i = 0; i < kHalf; ++i) *to++ = static_cast<uint8_t>(codes[block + i] | codes[block + kHalf + i] << 4);
  }
}

void put_int8(const uint8_t* codes, int64_t width, int zero, int8_t* to) {
  for (int64_t i = 0; i < width; ++i) to[i] = static_cast<int8_t>(codes[i] - zero);
}

}  // namespace

at::Tensor offsets_of(const at::Tensor& scales, const at::Tensor& zeros, int64_t bits) {
  if (!zeros.defined()) return {};
  const auto middle = static_cast<float>(int64_t{1} << (bits - 1));
  const float* const values = zeros.const_data_ptr<float>();
  const bool all_middle = std::all_of(values, values + zeros.numel(), [&](float zero) { return zero == middle; });
  return all_middle ? at::Tensor() : (zeros.neg() + middle).mul_(scales);
}

ops::LowBit packed(const StoredCodes& stored) {
  const bool int4 = stored.bits == 4 && stored.width % ops::kCodeBlock == 0 &&
                    (stored.group % ops::kCodeBlock == 0 || stored.groups() == 1);
  ops::LowBit made{.kind = int4 ? ops::WeightKind::int4 : ops::WeightKind::int8,
                   .width = stored.width,
                   .group = stored.groups() == 1 ? stored.width : stored.group};
  made.codes =
      int4 ? at::empty({stored.outs, stored.width / 2}, at::kByte) : at::empty({stored.outs, stored.width}, at::kChar);
  made.scales = stored.scales;
  made.offsets = offsets_of(stored.scales, stored.zeros, stored.bits);
  constexpr int64_t kPanel = 128;  // rows at a time: a cache line of 32-bit words along the outputs holds 16 to 128
  auto* const bytes = static_cast<uint8_t*>(made.codes.mutable_data_ptr());
  at::parallel_for(0, (stored.outs + kPanel - 1) / kPanel, 1, [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> codes(static_cast<size_t>(std::min(kPanel, stored.outs) * stored.width));
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t first = panel * kPanel, count = std::min(kPanel, stored.outs - first);
      stored.read(first, count, codes.data());
      for (int64_t row = 0; row < count; ++row) {
        const uint8_t* const from = codes.data() + row * stored.width;
        if (int4)
          put_int4(from, stored.width, bytes + (first + row) * stored.width / 2);
        else
          put_int8(from, stored.width, 1 << (stored.bits - 1),
                   reinterpret_cast<int8_t*>(bytes) + (first + row) * stored.width);
      }
    }
  });
  return made;
}

int64_t group_of(int64_t width, int64_t groups, int64_t group) {
  if (groups <= 0 || width <= 0) return 0;
  if (group > 0 && (width - 1) / group + 1 == groups) return group;
  return width % groups == 0 ? width / groups : 0;
}

int64_t group_size_in(const JsonView& settings, int64_t fallback) {
  const int64_t group = settings.integer("group_size", fallback);
  require(group == -1 || group > 0, Fault::bad_file, settings.source(), ": 'group_size' is ", group,
          ", expected -1 or more than 0");
  return std::max<int64_t>(group, 0);
}

int64_t checked_group(const StoredCodes& stored, const io::TensorView& scales, const io::TensorView& zeros,
                      int64_t group, const std::string& where) {
  const int64_t found = group_of(stored.width, scales.shape[0], group);
  require(found > 0 && scales.shape[1] == stored.outs, Fault::bad_file, where, ".scales is ", io::text_of(scales.shape),
          ", which does not fit a weight [", stored.outs, ", ", stored.width, "]");
  require_part(zeros, io::Dtype::int32, {scales.shape[0], stored.outs * stored.bits / 32}, where + ".qzeros");
  return found;
}

at::Tensor scales_of(const io::TensorView& view, bool transposed) {
  const at::Tensor scales = tensor_over(view).to(at::kFloat);
  return transposed ? scales.t().contiguous() : scales;
}

std::vector<int64_t> column_order(const io::TensorView& g_idx, int64_t width, int64_t group, const std::string& where) {
  require_part(g_idx, io::Dtype::int32, {width}, where);
  const std::span<const int32_t> groups = g_idx.values<int32_t>();
  // compressed-tensors writes -1 if nothing was sorted.
  if (std::all_of(groups.begin(), groups.end(), [](int32_t g) { return g == -1; })) return {};
  std::vector<int64_t> order(groups.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return groups[static_cast<size_t>(a)] < groups[static_cast<size_t>(b)];
  });
  bool sorted = true;
  for (size_t i = 0; i < order.size(); ++i) {
    const auto place = static_cast<int64_t>(i);
    require(groups[static_cast<size_t>(order[i])] == place / group, Fault::bad_file, where,
            " puts its columns into groups that do not have ", group, " columns each; the file is damaged");
    sorted = sorted && order[i] == place;
  }
  return sorted ? std::vector<int64_t>() : order;
}

void require_part(const io::TensorView& part, io::Dtype dtype, const std::vector<int64_t>& shape,
                  const std::string& where) {
  require(part.dtype == dtype && part.shape == shape, Fault::bad_file, where, " is ", io::name_of(part.dtype), " ",
          io::text_of(part.shape), ", expected ", io::name_of(dtype), " ", io::text_of(shape));
}

}  // namespace lithe::models

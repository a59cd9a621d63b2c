#include "ops/gpu_rows.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <array>

#include "base/error.h"
#include "ops/gpu_program.h"

namespace lithe::ops {
namespace {

constexpr int kThreads = 256;

/// As the names of the kernels have it; null for a type that they do not take.
const char* name_of(at::ScalarType type) {
  if (type == at::kFloat) return "f32";
  if (type == at::kBFloat16) return "bf16";
  return type == at::kHalf ? "f16" : nullptr;
}

/// One row in x, its columns in y.
GpuGrid grid_over(int64_t rows, int64_t columns) {
  return {rows, (columns + kThreads - 1) / kThreads, kThreads};
}

template <class... Values>
void launch(const std::string& kernel, const Tensor& like, const GpuGrid& grid, Values... values) {
  const std::array<void*, sizeof...(values)> arguments{&values...};
  launch_on_gpu(kernel, like.device(), grid, arguments);
}

}  // namespace

bool takes_gpu_kernels(const Tensor& x) {
  return x.is_cuda() && name_of(x.scalar_type()) != nullptr && x.stride(-1) == 1 &&
         !(at::GradMode::is_enabled() && x.requires_grad()) && has_gpu_program(x.device());
}

bool takes_float_kernels(const Tensor& x) {
  return x.scalar_type() == at::kFloat && takes_gpu_kernels(x);
}

Tensor gpu_rms_norm(const Tensor& x, const Tensor& gain, double eps, at::ScalarType type) {
  const Tensor in = x.contiguous(), y = at::empty(x.sizes(), x.options().dtype(type));
  const auto width = static_cast<int>(x.size(-1));
  launch(std::string("rms_norm_f32_") + name_of(type), x, {x.numel() / x.size(-1), 1, kThreads}, in.const_data_ptr(),
         gain.const_data_ptr(), y.mutable_data_ptr(), width, static_cast<float>(eps));
  return y;
}

void gpu_rotate(const Tensor& x, const RopeAngles& angles) {
  const Tensor cosine = angles.cosine.contiguous(), sine = angles.sine.contiguous();
  const int64_t heads = x.size(1), half = x.size(2) / 2;
  launch(std::string("rotate_") + name_of(x.scalar_type()), x, grid_over(x.size(0), heads * half), x.mutable_data_ptr(),
         cosine.const_data_ptr(), sine.const_data_ptr(), static_cast<long long>(x.stride(0)), static_cast<int>(heads),
         static_cast<int>(half));
}

Tensor gpu_swiglu(const Tensor& gate, const Tensor& up) {
  const Tensor y = at::empty(gate.sizes(), gate.options());
  launch(std::string("swiglu_") + name_of(gate.scalar_type()), gate, grid_over(gate.size(0), gate.size(1)),
         gate.const_data_ptr(), up.const_data_ptr(), y.mutable_data_ptr(), static_cast<long long>(gate.stride(0)),
         static_cast<long long>(up.stride(0)), static_cast<int>(gate.size(1)));
  return y;
}

void gpu_store(const Tensor& keys, const Tensor& values, const Tensor& to_keys, const Tensor& to_values) {
  const int64_t width = keys.size(1) * keys.size(2);
  launch(std::string("store_") + name_of(keys.scalar_type()), keys, grid_over(keys.size(0), width),
         keys.const_data_ptr(), values.const_data_ptr(), to_keys.mutable_data_ptr(), to_values.mutable_data_ptr(),
         static_cast<long long>(keys.stride(0)), static_cast<long long>(values.stride(0)), static_cast<int>(width));
}

Tensor gpu_gate(const Tensor& hidden, const Tensor& index, const Tensor& router, const std::optional<Tensor>& bias,
                const GateShape& shape, const Tensor& all) {
  const Tensor rows = hidden.contiguous(), chosen = at::empty({index.size(0)}, all.options());
  launch("gate", hidden, {index.size(0), 1, kThreads}, rows.const_data_ptr(), index.const_data_ptr(),
         router.const_data_ptr(), bias ? bias->const_data_ptr() : nullptr, chosen.mutable_data_ptr(),
         all.mutable_data_ptr(), static_cast<int>(hidden.size(1)), static_cast<int>(shape.norm),
         static_cast<float>(shape.scale), static_cast<float>(shape.bias));
  return chosen;
}

Tensor gpu_add_weighted(const Tensor& h, const Tensor& branch, const Tensor& weight) {
  const Tensor in = h.contiguous(), added = branch.contiguous(), factor = weight.contiguous(), y = at::empty_like(in);
  launch(std::string("add_weighted_") + name_of(branch.scalar_type()), h, grid_over(h.size(0), h.size(1)),
         in.const_data_ptr(), added.const_data_ptr(), factor.const_data_ptr(), y.mutable_data_ptr(),
         static_cast<int>(h.size(1)));
  return y;
}

Tensor gpu_merge(const Tensor& x, const Tensor& weight, const Tensor& active, const Tensor& places) {
  const Tensor in = x.contiguous(), rows = active.contiguous(), factor = weight.contiguous(), y = at::empty_like(in);
  launch("merge", x, {x.size(0), 1, kThreads}, in.const_data_ptr(), factor.const_data_ptr(), rows.const_data_ptr(),
         places.const_data_ptr(), y.mutable_data_ptr(), static_cast<int>(x.size(1)));
  return y;
}

std::vector<Tensor> gpu_gather(const std::vector<Tensor>& tables, const Tensor& index) {
  require(!tables.empty() && tables.size() <= 4, Fault::internal, "gpu_gather: ", tables.size(), " tables");
  std::vector<Tensor> from, to;
  std::array<const void*, 4> in{};
  std::array<void*, 4> out{};
  std::array<int, 4> width{};
  for (size_t i = 0; i < tables.size(); ++i) {
    std::vector<int64_t> shape = tables[i].sizes().vec();
    shape[0] = index.size(0);
    from.push_back(tables[i].contiguous());
    to.push_back(at::empty(shape, tables[i].options()));
    in[i] = from[i].const_data_ptr();
    out[i] = to[i].mutable_data_ptr();
    width[i] = static_cast<int>(tables[i].dim() == 1 ? 1 : tables[i].size(1));
  }
  launch("gather", index, {index.size(0), 1, kThreads}, index.const_data_ptr(), in[0], in[1], in[2], in[3], out[0],
         out[1], out[2], out[3], width[0], width[1], width[2], width[3]);
  return to;
}

}  // namespace lithe::ops

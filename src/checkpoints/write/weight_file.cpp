#include "checkpoints/write/weight_file.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/printable.h"

namespace lithe::models {
namespace {

io::Dtype dtype_of(at::ScalarType type) {
  if (type == at::kDouble) return io::Dtype::float64;
  if (type == at::kBFloat16) return io::Dtype::bfloat16;
  return type == at::kHalf ? io::Dtype::float16 : io::Dtype::float32;
}

std::vector<std::byte> with_rows(const io::TensorView& view, int64_t rows) {
  const size_t row = view.bytes.size() / static_cast<size_t>(view.shape[0]);
  std::vector<std::byte> bytes(row * static_cast<size_t>(rows));
  const size_t kept = std::min(bytes.size(), view.bytes.size());
  std::memcpy(bytes.data(), view.bytes.data(), kept);
  for (size_t at = kept; at < bytes.size(); at += row) std::memcpy(bytes.data() + at, view.bytes.data(), row);
  return bytes;
}

std::span<const std::byte> bytes_of(const Tensor& contiguous) {
  return {static_cast<const std::byte*>(contiguous.const_data_ptr()), static_cast<size_t>(contiguous.nbytes())};
}

/// The largest magnitude of `a`, or of a - less if that is there; what is not finite goes first. By pieces, so that
/// no copy of all in a wider type is made.
double largest_of(const Tensor& a, const std::optional<Tensor>& less) {
  constexpr int64_t kPiece = int64_t{1} << 20;
  const std::vector<Tensor> pieces = a.flatten().split(kPiece);
  const std::vector<Tensor> others = less ? less->flatten().split(kPiece) : std::vector<Tensor>();
  double largest = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Tensor piece = others.empty() ? pieces[i] : pieces[i].to(at::kDouble) - others[i];
    const double here = piece.abs().max().item<double>();
    if (!(here <= largest)) largest = here;
    if (!std::isfinite(largest)) break;
  }
  return largest;
}

/// [some rows, ..] -> [rows, ..]
Tensor with_rows(const Tensor& held, int64_t rows) {
  if (held.dim() == 0 || held.size(0) >= rows) return held;
  std::vector<int64_t> added = held.sizes().vec();
  added[0] = rows - held.size(0);
  return at::cat({held, held.narrow(0, 0, 1).expand(added)});
}

}  // namespace

void WeightFile::copy(const std::string& name, const io::TensorView& view, const std::vector<int64_t>& shape) {
  tensors_.push_back({name, &view, {at::kFloat, shape, {}}});
}

bool WeightFile::makes_any() const {
  return !together_.empty() ||
         std::any_of(tensors_.begin(), tensors_.end(), [](const Entry& entry) { return !entry.view; });
}

std::vector<io::SafetensorsWriter::Entry> WeightFile::entries() const {
  std::vector<io::SafetensorsWriter::Entry> entries;
  for (const Entry& entry : tensors_) {
    const io::Dtype dtype = entry.view ? entry.view->dtype : dtype_of(entry.weight.type);
    entries.push_back({entry.name, dtype, entry.weight.shape});
  }
  for (const MadeTensors& together : together_)
    entries.insert(entries.end(), together.tensors.begin(), together.tensors.end());
  return entries;
}

int64_t WeightFile::tensors() const {
  return static_cast<int64_t>(entries().size());
}

int64_t WeightFile::bytes() const {
  int64_t bytes = 0;
  for (const auto& entry : entries()) bytes += io::bytes_of(entry.dtype, entry.shape).value_or(0);
  return bytes;
}

double WeightFile::write(const std::filesystem::path& file, const io::OnBytes& on_bytes) const {
  const io::Metadata format{{"format", "pt"}};  // transformers asks for it
  io::SafetensorsWriter writer(file, entries(), format, on_bytes);
  double rounding = 0;
  for (const Entry& entry : tensors_) {
    if (!entry.view) {
      writer.put(entry.name, bytes_of(rounded(entry, rounding)));
    } else if (entry.weight.shape == entry.view->shape) {
      writer.put(entry.name, entry.view->bytes);
    } else {
      writer.put(entry.name, with_rows(*entry.view, entry.weight.shape[0]));
    }
  }
  for (const MadeTensors& together : together_) {
    const std::vector<Tensor> made = together.make();
    for (size_t i = 0; i < made.size(); ++i) writer.put(together.tensors[i].name, bytes_of(made[i]));
  }
  writer.commit();
  return rounding;
}

Tensor WeightFile::rounded(const Entry& entry, double& rounding) const {
  const MadeWeight& weight = entry.weight;
  const Tensor exact = weight.make().detach().to(at::kCPU);
  const double largest = largest_of(exact, std::nullopt);
  require(std::isfinite(largest), Fault::bad_file, "the weight ", in_quotes(entry.name),
          " holds numbers that are not finite", refusals_.not_finite);
  const Tensor held = exact.to(weight.type);
  if (weight.type == at::kHalf || weight.type == at::kBFloat16) {
    const double moved = largest_of(held, exact);
    require(std::isfinite(moved), Fault::bad_request, "the weight ", in_quotes(entry.name), " reaches ", largest,
            ", which ", weight.type == at::kHalf ? "float16" : "bfloat16", " cannot hold", refusals_.too_large);
    if (largest > 0) rounding = std::max(rounding, moved / largest);
  }
  return with_rows(held, weight.shape.empty() ? 0 : weight.shape[0]).contiguous();
}

}  // namespace lithe::models

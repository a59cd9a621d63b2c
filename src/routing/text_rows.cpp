#include "routing/text_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "plan/choosing.h"
#include "routing/index_tensor.h"

namespace lithe::routing {
namespace {

std::vector<int64_t> vision_rows(const Batch& batch, size_t sequence) {
  std::vector<int64_t> rows;
  for (int64_t row = batch.offsets[sequence]; row < batch.offsets[sequence + 1]; ++row) {
    const bool prompt = batch.order[static_cast<size_t>(row)] < batch.sequences[sequence].prompt_end;
    if (prompt && plan::belongs(batch.kinds[static_cast<size_t>(row)], plan::Group::vision)) rows.push_back(row);
  }
  return rows;
}

}  // namespace

std::vector<int64_t> text_after(const Batch& batch, size_t sequence, int64_t row) {
  std::vector<int64_t> rows;
  for (int64_t later = row + 1; later < batch.offsets[sequence + 1]; ++later) {
    if (batch.order[static_cast<size_t>(later)] >= batch.sequences[sequence].prompt_end) break;
    if (batch.kinds[static_cast<size_t>(later)] == RowKind::text) rows.push_back(later);
  }
  return rows;
}

std::vector<int64_t> text_raters(const Tensor& x, const Batch& batch, size_t sequence) {
  const std::vector<int64_t> vision = vision_rows(batch, sequence);
  if (vision.empty()) return {};
  const std::vector<int64_t> text = text_after(batch, sequence, vision.front());
  if (text.empty()) return {};
  const Tensor seen = x.detach().index_select(0, index_tensor(vision, x));
  const Tensor words = x.detach().index_select(0, index_tensor(text, x)).t();
  Tensor match = at::zeros({words.size(1)}, seen.options());
  for (int64_t first = 0; first < seen.size(0); first += plan::kBlockRows) {
    const Tensor block = seen.narrow(0, first, std::min(plan::kBlockRows, seen.size(0) - first));
    match = match + at::softmax(block.matmul(words), 1).sum(0);
  }
  const Tensor host = (match >= match.mean()).to(at::kCPU);
  const bool* rates = host.const_data_ptr<bool>();
  std::vector<int64_t> order;
  for (size_t i = 0; i < text.size(); ++i) {
    if (rates[i]) order.push_back(batch.order[static_cast<size_t>(text[i])]);
  }
  if (!order.empty()) return order;
  for (const int64_t row : text) order.push_back(batch.order[static_cast<size_t>(row)]);  // all alike, up to rounding
  return order;
}

}  // namespace lithe::routing

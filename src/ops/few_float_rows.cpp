#include "ops/few_float_rows.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "ops/few_rows_kernels.h"
#include "ops/gemm_panels.h"
#include "ops/line_vector.h"

namespace lithe::ops {
namespace {

/// Bytes of each row of a panel that are turned together: the panel then takes 16 KB of the first-level cache.
constexpr int64_t kBytesAtOnce = 512;
/// Values of x that a thread copies at least.
constexpr int64_t kLeastValues = 32768;

/// Rows of x that the registers hold, column by column. What is missing of the last word of weights is 0.
class TurnedRows {
 public:
  TurnedRows(const float* x, int64_t rows, int64_t width)
      : rows_(rows), values_(static_cast<size_t>((width + 1) * rows)) {
    std::fill_n(values_.data() + width * rows, rows, 0.0f);
    at::parallel_for(0, width, std::max<int64_t>(kLeastValues / rows, 1), [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k)
        for (int64_t r = 0; r < rows; ++r) values_[static_cast<size_t>(k * rows + r)] = x[r * width + k];
    });
  }

  int64_t rows() const { return rows_; }
  const float* from(int64_t column) const { return values_.data() + column * rows_; }

 private:
  int64_t rows_;
  LineVector<float> values_;
};

/// Panel after panel of the weights, from row `first_out` on, times all rows of x.
class FloatPanels {
 public:
  FloatPanels(const std::vector<TurnedRows>& x, int64_t rows, const WeightView& weight, int64_t first_out, float* y)
      : x_(x),
        weight_(weight),
        y_(y),
        kernel_(*few_rows_kernel()),
        ahead_(weight.at(first_out, 0), weight.bytes(weight.width)),
        panel_(kBytesAtOnce / kWordBytes * kPanelRows),
        sums_(static_cast<size_t>(rows * kPanelRows)) {}

  void run(int64_t out, int64_t outs) {
    std::fill(sums_.begin(), sums_.end(), 0.0f);
    const int64_t step = kBytesAtOnce / weight_.bytes(1);
    for (int64_t k = 0; k < weight_.width; k += step) add_columns(out, outs, k, std::min(step, weight_.width - k));
    copy_panel(sums_, outs, y_ + out, weight_.outs);
  }

 private:
  static constexpr int64_t kWordBytes = sizeof(int32_t);

  void add_columns(int64_t out, int64_t outs, int64_t k, int64_t columns) {
    const int64_t bytes = weight_.bytes(columns);
    kernel_.turn({weight_.at(out, k), outs, weight_.bytes(weight_.width), bytes}, panel_.data());
    FloatColumns part{.kind = weight_.kind, .words = (bytes + kWordBytes - 1) / kWordBytes, .panel = panel_.data()};
    part.ahead = &ahead_;
    float* sums = sums_.data();
    for (const TurnedRows& some : x_) {
      part.rows = some.rows();
      part.x = some.from(k);
      kernel_.add_floats(part, sums);
      part.ahead = nullptr;
      sums += some.rows() * kPanelRows;
    }
  }

  const std::vector<TurnedRows>& x_;
  const WeightView& weight_;
  float* y_;
  const FewRowsKernel& kernel_;
  PanelsAhead ahead_;
  LineVector<int32_t> panel_;
  LineVector<float> sums_;
};

}  // namespace

bool has_few_float_rows() {
  return few_rows_kernel() != nullptr && few_rows_kernel()->add_floats != nullptr;
}

void few_float_rows(const float* x, int64_t rows, const WeightView& weight, float* y) {
  if (rows == 0) return;
  const int64_t most = rows_at_once(rows, 1, few_rows_kernel()->most_float_rows);
  std::vector<TurnedRows> parts;
  for (int64_t first = 0; first < rows; first += most)
    parts.emplace_back(x + first * weight.width, std::min(most, rows - first), weight.width);
  for_stripes(weight.outs, kPanelRows, [&](int64_t begin, int64_t end) {
    FloatPanels panels(parts, rows, weight, begin, y);
    for (int64_t out = begin; out < end; out += kPanelRows) panels.run(out, std::min(kPanelRows, end - out));
  });
}

}  // namespace lithe::ops

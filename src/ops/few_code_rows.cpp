#include "ops/few_code_rows.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/vector_set.h"
#include "ops/code_cut.h"
#include "ops/few_rows_kernels.h"
#include "ops/gemm_panels.h"
#include "ops/line_vector.h"
#include "ops/prefetch.h"

namespace lithe::ops {
namespace {

/// Bytes of each row of a panel that are turned together: the panel then takes 4 KB of the first-level cache.
constexpr int64_t kCodeBytesAtOnce = 128;
/// Values of x that a thread rounds at least.
constexpr int64_t kLeastCodes = 16384;

/// Rows of x that the registers hold, as codes in the order of a panel's parts.
class FewCodedRows {
 public:
  FewCodedRows(const float* x, int64_t rows, const WeightView& weight, const CodeCut& cut)
      : rows_(rows),
        words_(static_cast<size_t>(cut.groups() * cut.words() * rows)),
        starts_(static_cast<size_t>(cut.groups() * rows)),
        scales_(starts_.size()),
        sums_(weight.offsets ? starts_.size() : 0) {
    const int64_t grain = std::max<int64_t>(kLeastCodes / (cut.group * rows), 1);
    at::parallel_for(0, cut.groups(), grain, [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g)
        for (int64_t r = 0; r < rows; ++r) put(x + r * cut.width + g * cut.group, g, r, weight.kind, cut);
    });
  }

  int64_t rows() const { return rows_; }

  /// Groups from `g` on.
  void show(int64_t g, const CodeCut& cut, CodeColumns& columns) const {
    const int64_t at = g * rows_;
    columns.rows = rows_;
    columns.x = words_.data() + at * cut.words();
    columns.x_scales = scales_.data() + at;
    columns.x_starts = starts_.data() + at;
    columns.x_sums = sums_.empty() ? nullptr : sums_.data() + at;
  }

 private:
  /// A group of a row. What is missing of it is 0.
  void put(const float* x, int64_t g, int64_t r, WeightKind kind, const CodeCut& cut) {
    constexpr auto kZeros8 = static_cast<int32_t>(0x80808080u);
    std::array<int32_t, kMostCutGroup / 2> room{};
    const int64_t words = cut.words(), count = cut.columns(g);
    if (count < cut.group && cut.codes == RowCodes::int8) room.fill(kZeros8);
    const auto at = static_cast<size_t>(g * rows_ + r);
    scales_[at] = round_row(x, count, cut.codes, room.data());
    int32_t* const to = words_.data() + g * words * rows_ + r;
    starts_[at] = -zero_of(kind, cut.codes) * place_codes(room.data(), words, kind, cut.codes, to, rows_);
    if (!sums_.empty()) sums_[at] = sum_of_group(x, count);
  }

  int64_t rows_;
  LineVector<int32_t> words_;
  std::vector<int32_t> starts_;
  std::vector<float> scales_, sums_;
};

/// Scales or offsets of a panel of weights.  -> [groups of the cut, kPanelRows]
class PanelFactors {
 public:
  PanelFactors(const float* factors, const WeightView& weight, const CodeCut& cut)
      : factors_(factors), weight_(weight), cut_(cut) {
    if (factors) turned_.resize(static_cast<size_t>(whole_runs(weight.groups()) * kPanelRows));
    if (factors && cut.groups() != weight.groups()) spread_.resize(static_cast<size_t>(cut.groups() * kPanelRows));
  }

  void turn(int64_t out, int64_t outs, const FewRowsKernel& kernel) {
    if (!factors_) return;
    const int64_t bytes = row_bytes();
    const auto* const data = reinterpret_cast<const char*>(factors_ + out * weight_.groups());
    kernel.turn({data, outs, bytes, bytes}, reinterpret_cast<int32_t*>(turned_.data()));
    for (int64_t g = 0; !spread_.empty() && g < cut_.groups(); ++g) {
      const int64_t from = g * cut_.group / weight_.group;
      std::copy_n(turned_.data() + from * kPanelRows, kPanelRows, spread_.data() + g * kPanelRows);
    }
  }

  /// The next panel's are fetched while some groups of this one are multiplied.
  void fetch_next(int64_t out, int64_t g, int64_t groups) const {
    if (!factors_) return;
    const int64_t all = kPanelRows * row_bytes();
    const char* const next = reinterpret_cast<const char*>(factors_) + (out + kPanelRows) * row_bytes();
    fetch_span(next + all * g / cut_.groups(), all * groups / cut_.groups());
  }

  const float* group(int64_t g) const {
    return factors_ ? (spread_.empty() ? turned_ : spread_).data() + g * kPanelRows : nullptr;
  }

 private:
  static int64_t whole_runs(int64_t words) { return (words + kRunWords - 1) / kRunWords * kRunWords; }
  int64_t row_bytes() const { return weight_.groups() * static_cast<int64_t>(sizeof(float)); }

  const float* factors_;
  const WeightView& weight_;
  const CodeCut& cut_;
  LineVector<float> turned_, spread_;
};

/// Panel after panel of the weights, from row `first_out` on, times all rows of x.
class CodePanels {
 public:
  CodePanels(const std::vector<FewCodedRows>& x, int64_t rows, const WeightView& weight, const CodeCut& cut,
             int64_t first_out, float* y)
      : x_(x),
        weight_(weight),
        cut_(cut),
        y_(y),
        kernel_(*few_rows_kernel()),
        scales_(weight.scales, weight, cut),
        offsets_(weight.offsets, weight, cut),
        ahead_(weight.at(first_out, 0), weight.bytes(weight.width)),
        sums_(static_cast<size_t>(rows * kPanelRows)) {
    panel_.assign(static_cast<size_t>((groups_at_once() * words() + kRunWords) * kPanelRows), 0);
  }

  void run(int64_t out, int64_t outs) {
    scales_.turn(out, outs, kernel_);
    offsets_.turn(out, outs, kernel_);
    std::fill(sums_.begin(), sums_.end(), 0.0f);
    const int64_t step = groups_at_once();
    for (int64_t g = 0; g < cut_.groups(); g += step) run_groups(out, outs, g, std::min(step, cut_.groups() - g));
    copy_panel(sums_, outs, y_ + out, weight_.outs);
  }

 private:
  /// Of a group of a panel.
  int64_t words() const { return weight_.bytes(cut_.group) / static_cast<int64_t>(sizeof(int32_t)); }

  int64_t groups_at_once() const { return cut_.groups_in(kCodeBytesAtOnce * 8 / bits_of(weight_.kind)); }

  void run_groups(int64_t out, int64_t outs, int64_t g, int64_t groups) {
    const int64_t first = g * cut_.group, end = std::min(first + groups * cut_.group, cut_.width);
    const int64_t bytes = weight_.bytes(end - first);
    kernel_.turn({weight_.at(out, first), outs, weight_.bytes(weight_.width), bytes}, panel_.data());
    scales_.fetch_next(out, g, groups);
    offsets_.fetch_next(out, g, groups);
    CodeColumns columns{.kind = weight_.kind, .codes = cut_.codes, .groups = groups, .words = words()};
    columns.panel = panel_.data();
    columns.scales = scales_.group(g);
    columns.offsets = offsets_.group(g);
    columns.ahead = &ahead_;
    float* y = sums_.data();
    for (const FewCodedRows& some : x_) {
      some.show(g, cut_, columns);
      kernel_.add_codes(columns, y);
      columns.ahead = nullptr;
      y += some.rows() * kPanelRows;
    }
  }

  const std::vector<FewCodedRows>& x_;
  const WeightView& weight_;
  const CodeCut& cut_;
  float* y_;
  const FewRowsKernel& kernel_;
  PanelFactors scales_, offsets_;
  PanelsAhead ahead_;
  LineVector<int32_t> panel_;
  LineVector<float> sums_;
};

}  // namespace

bool has_few_code_rows() {
  return few_rows_kernel() != nullptr;
}

void few_code_rows(const float* x, int64_t rows, const WeightView& weight, RowCodes codes, float* y) {
  if (rows == 0) return;
  const CodeCut cut(weight, vector_set() >= VectorSet::avx512_vnni ? codes : RowCodes::int16);
  std::vector<FewCodedRows> coded;
  const int64_t most = rows_at_once(rows, 1, few_rows_kernel()->most_code_rows);
  for (int64_t first = 0; first < rows; first += most)
    coded.emplace_back(x + first * weight.width, std::min(most, rows - first), weight, cut);
  for_stripes(weight.outs, kPanelRows, [&](int64_t begin, int64_t end) {
    CodePanels panels(coded, rows, weight, cut, begin, y);
    for (int64_t out = begin; out < end; out += kPanelRows) panels.run(out, std::min(kPanelRows, end - out));
  });
}

}  // namespace lithe::ops

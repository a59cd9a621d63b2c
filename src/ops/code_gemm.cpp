#include "ops/code_gemm.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "base/vector_set.h"
#include "ops/code_cut.h"
#include "ops/gemm_panels.h"

namespace lithe::ops {
namespace {

/// Columns whose weights are unpacked together: 56 rows of them are 112 KB of 16 bits, which the second-level cache
/// holds beside a panel of x.
constexpr int64_t kCodeDepth = 1024;
/// Register blocks of weight rows that share a panel of x while it is in the caches.
constexpr int64_t kBlocksAtOnce = 4;
/// Values of x whose codes are kept at once, so that the outer caches hold them; but unpacking has to pay.
constexpr int64_t kValuesAtOnce = int64_t{2} << 20, kLeastRows = 192;
/// Rows of weights from the one that is unpacked to the one that is fetched.
constexpr int64_t kRowsAhead = 2;

/// Some rows of x as codes, panel by panel and group by group.
class CodedRows {
 public:
  CodedRows(const float* x, int64_t rows, const CodeCut& cut, bool with_sums) : x_(x), rows_(rows), cut_(cut) {
    const int64_t groups = panels() * cut.groups();
    words_.reset(new int32_t[static_cast<size_t>(groups * cut.words() * kCodeRows)]);
    scales_.assign(static_cast<size_t>(groups * kCodeRows), 0.0f);
    if (with_sums) sums_.assign(scales_.size(), 0.0f);
    at::parallel_for(0, groups, std::max<int64_t>(1, 1024 / cut.group), [&](int64_t begin, int64_t end) {
      std::vector<int32_t> room(static_cast<size_t>(kCodeRows * cut.words()));
      for (int64_t i = begin; i < end; ++i) put(i / cut.groups(), i % cut.groups(), room.data());
    });
  }

  int64_t rows() const { return rows_; }
  int64_t panels() const { return (rows_ + kCodeRows - 1) / kCodeRows; }
  int64_t columns(int64_t panel) const { return std::min(kCodeRows, rows_ - panel * kCodeRows); }

  /// The part of a panel from group `g` on.
  void show(int64_t panel, int64_t g, CodePart& part) const {
    const int64_t at = panel * cut_.groups() + g;
    part.x = words_.get() + at * cut_.words() * kCodeRows;
    part.x_scales = scales_.data() + at * kCodeRows;
    part.x_sums = sums_.empty() ? nullptr : sums_.data() + at * kCodeRows;
  }

 private:
  /// room: [kCodeRows, words]
  void put(int64_t panel, int64_t g, int32_t* room) {
    const int64_t at = panel * cut_.groups() + g, words = cut_.words(), count = cut_.columns(g);
    if (count < cut_.group) std::fill_n(room, kCodeRows * words, 0);
    for (int64_t c = 0; c < columns(panel); ++c) {
      const float* const x = x_ + (panel * kCodeRows + c) * cut_.width + g * cut_.group;
      scales_[static_cast<size_t>(at * kCodeRows + c)] = round_row(x, count, cut_.codes, room + c * words);
      if (!sums_.empty()) sums_[static_cast<size_t>(at * kCodeRows + c)] = sum_of_group(x, count);
    }
    int32_t* const to = words_.get() + at * words * kCodeRows;
    for (int64_t c = 0; c < kCodeRows; ++c)
      for (int64_t k = 0; k < words; ++k) to[k * kCodeRows + c] = room[c * words + k];
  }

  const float* x_;
  int64_t rows_;
  const CodeCut& cut_;
  std::unique_ptr<int32_t[]> words_;
  std::vector<float> scales_, sums_;
};

/// All rows of x times the weight rows [first, last).
class Stripe {
 public:
  Stripe(const CodedRows& x, const WeightView& weight, const CodeCut& cut, float* y, const CodeGemmKernel& kernel,
         int64_t first, int64_t last)
      : x_(x), weight_(weight), cut_(cut), y_(y), kernel_(kernel), first_(first), last_(last) {
    const int64_t outs = kernel.max_outs * kBlocksAtOnce, groups = cut.groups_in(kCodeDepth);
    words_.resize(static_cast<size_t>(outs * groups * cut.words()));
    scales_.resize(static_cast<size_t>(outs * groups));
    if (weight.offsets) offsets_.resize(scales_.size());
    sums_.resize(scales_.size());
  }

  void run() {
    const int64_t step = kernel_.max_outs * kBlocksAtOnce;
    for (int64_t out = first_; out < last_; out += step) run_outs(out, std::min(step, last_ - out));
  }

 private:
  void run_outs(int64_t first_out, int64_t outs) {
    results_.assign(static_cast<size_t>(x_.panels() * outs * kCodeRows), 0.0f);
    for (int64_t g = 0; g < cut_.groups(); g += cut_.groups_in(kCodeDepth))
      run_groups(first_out, outs, g, std::min(cut_.groups_in(kCodeDepth), cut_.groups() - g));
    write_panels(results_.data(), kCodeRows, x_.rows(), outs, y_ + first_out, weight_.outs);
  }

  void run_groups(int64_t first_out, int64_t outs, int64_t g, int64_t groups) {
    std::vector<CodePart> parts;
    for (int64_t o = 0; o < outs; o += kernel_.max_outs)
      parts.push_back(unpack(first_out, o, std::min(kernel_.max_outs, outs - o), g, groups));
    for (int64_t panel = 0; panel < x_.panels(); ++panel) {
      float* y = results_.data() + panel * outs * kCodeRows;
      for (CodePart& part : parts) {
        x_.show(panel, g, part);
        kernel_.add(part, cut_.codes, x_.columns(panel), y);
        y += part.outs * kCodeRows;
      }
    }
  }

  /// Unpacks weights of rows first_out + o and so on, in the kernel's order.
  CodePart unpack(int64_t first_out, int64_t o, int64_t outs, int64_t g, int64_t groups) {
    const int64_t at = o * groups;
    CodePart part{.groups = groups, .words = cut_.words(), .outs = outs};
    int32_t* const words = words_.data() + at * cut_.words();
    part.weights = words;
    part.scales = scales_.data() + at;
    if (weight_.offsets) part.offsets = offsets_.data() + at;
    part.sums = sums_.data() + at;
    for (int64_t r = 0; r < outs; ++r)
      unpack_row(first_out + o + r, {g, groups},
                 {words + r * kChunkWords, outs * kChunkWords, sums_.data() + at + r, outs});
    for (int64_t i = 0; i < groups; ++i) copy_scales(first_out + o, g + i, outs, at + i * outs);
    return part;
  }

  struct Groups {
    int64_t first, count;
  };

  /// Whole groups as they lie; a last one that is not whole is filled up with codes that stand for 0.
  void unpack_row(int64_t out, const Groups& some, const CodeWords& to) const {
    const int64_t first = some.first * cut_.group, end = std::min(first + some.count * cut_.group, cut_.width);
    const int64_t whole = (end - first) / cut_.group, rest = (end - first) % cut_.group;
    kernel_.unpack({weight_.at(out, first), weight_.kind, whole, cut_.group, kRowsAhead * weight_.bytes(weight_.width)},
                   cut_.codes, to);
    if (rest == 0) return;
    constexpr char kZero8 = 0, kTwoZeros4 = '\x88';
    std::array<char, kMostCutGroup> filled;
    const char* const stored = weight_.at(out, first + whole * cut_.group);
    std::fill(std::copy_n(stored, weight_.bytes(rest), filled.begin()), filled.end(),
              weight_.kind == WeightKind::int4 ? kTwoZeros4 : kZero8);
    const int64_t chunks = whole * cut_.words() / kChunkWords;
    kernel_.unpack({filled.data(), weight_.kind, 1, cut_.group}, cut_.codes,
                   {to.words + chunks * to.stride, to.stride, to.sums + whole * to.sums_stride, to.sums_stride});
  }

  /// Of group `g` of neighbouring rows of weights.
  void copy_scales(int64_t first_out, int64_t g, int64_t outs, int64_t at) {
    const int64_t groups = weight_.groups(), from = first_out * groups + g * cut_.group / weight_.group;
    for (int64_t r = 0; r < outs; ++r) {
      scales_[static_cast<size_t>(at + r)] = weight_.scales[from + r * groups];
      if (weight_.offsets) offsets_[static_cast<size_t>(at + r)] = weight_.offsets[from + r * groups];
    }
  }

  const CodedRows& x_;
  const WeightView& weight_;
  const CodeCut& cut_;
  float* y_;
  const CodeGemmKernel& kernel_;
  const int64_t first_, last_;
  std::vector<int32_t> words_, sums_;
  std::vector<float> scales_, offsets_, results_;
};

}  // namespace

bool taken_by_code_gemm(const WeightView& weight) {
  return weight.width > 0 && cut_group_of(weight) > 0;
}

bool has_code_gemm() {
  return vector_set() >= VectorSet::avx512_vnni;
}

void code_gemm(const float* x, int64_t rows, const WeightView& weight, RowCodes codes, float* y) {
  if (rows == 0) return;
  const CodeGemmKernel& kernel = code_gemm_kernel();
  const CodeCut cut(weight, codes);
  const int64_t most = std::max(kValuesAtOnce / weight.width, kLeastRows), some = rows_at_once(rows, kCodeRows, most);
  for (int64_t first = 0; first < rows; first += some) {
    const CodedRows coded(x + first * weight.width, std::min(some, rows - first), cut, weight.offsets != nullptr);
    for_stripes(weight.outs, kernel.max_outs, [&](int64_t begin, int64_t end) {
      Stripe(coded, weight, cut, y + first * weight.outs, kernel, begin, end).run();
    });
  }
}

}  // namespace lithe::ops

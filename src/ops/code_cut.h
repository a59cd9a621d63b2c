#pragma once

#include <algorithm>
#include <cstdint>

#include "ops/row_codes.h"
#include "ops/weight_view.h"

namespace lithe::ops {

/// The most columns of a group, and how many it has if the weights' groups are longer.
constexpr int64_t kMostCutGroup = 256, kUsualCutGroup = 128;

/// The columns whose products are added as whole numbers: a group of the weights, or a part of one. A multiple of
/// kCodeBlock; 0: the weights' groups can't be cut so.
inline int64_t cut_group_of(const WeightView& weight) {
  if (weight.group == 0) return 0;
  if (weight.groups() == 1) return kUsualCutGroup;
  if (weight.group <= kMostCutGroup) return weight.group % kCodeBlock == 0 ? weight.group : 0;
  return weight.group % kUsualCutGroup == 0 ? kUsualCutGroup : 0;
}

/// How a product of codes is cut into groups of columns. The last one may be shorter.
struct CodeCut {
  RowCodes codes;
  int64_t width, group;

  CodeCut(const WeightView& weight, RowCodes row_codes)
      : codes(row_codes), width(weight.width), group(cut_group_of(weight)) {}

  int64_t groups() const { return (width + group - 1) / group; }
  /// Words of a group of x.
  int64_t words() const { return group / codes_in_word(codes); }
  int64_t columns(int64_t g) const { return std::min(group, width - g * group); }
  /// Groups that are unpacked together, if so many columns are.
  int64_t groups_in(int64_t columns) const { return std::max<int64_t>(columns / group, 1); }
};

}  // namespace lithe::ops

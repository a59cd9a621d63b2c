#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "plan/plan.h"

/// What a rule means for rows. All code that runs, counts, bounds or reuses rows uses these functions.
namespace lithe::plan {

/// What a row holds. `modality`: LaVIN's first row, which says whether the prompt has a picture. It sees only itself,
/// and no other row sees it; gates and token means of adapters read it.
enum class RowKind : uint8_t { text, vision, vision_high_res, padding, modality };
constexpr std::array<RowKind, 5> kRowKinds = {RowKind::text, RowKind::vision, RowKind::vision_high_res,
                                              RowKind::padding, RowKind::modality};

/// Whether a group holds rows of this kind. `all` means every real row: padding is only in `padding`. The modality row
/// is in no group, so no rule governs it.
bool belongs(RowKind kind, Group group);

/// Whether a group holds vision rows and no others.
bool is_vision(Group group);

/// The rule that governs the prompt rows of this kind in a layer: the first whose group holds them; null if no group
/// does.
const Rule* governing_rule(const LayerPlan& layer, RowKind kind);

/// What a row computes if no rule governs it: everything. Padding offers no key and is not cached; nor is the modality
/// row, whose key only it sees.
Switches ungoverned(RowKind kind);

/// k = trunc(float32(n) * float32(share)), both and the product in float32 as in the published code; clamped to [0, n].
int64_t kept_rows(const Rule& rule, int64_t rows_in_group);

/// Whether `holds` is true of a rule of a decoder layer.
bool any_rule(const Plan& plan, bool (*holds)(const Rule&));

/// Whether the rule keeps every row that it governs, however many there are; whether it keeps no row.
bool keeps_all(const Rule& rule);
bool keeps_none(const Rule& rule);

/// The rows that the selector `uniform` keeps: k of n, evenly spread, ascending; row j is floor((2 j + 1) n / (2 k)).
std::vector<int64_t> spread_rows(int64_t n, int64_t k);

}  // namespace lithe::plan

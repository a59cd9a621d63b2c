#pragma once

#include <cstdint>
#include <vector>

#include "plan/cost.h"
#include "plan/plan.h"
#include "plan/rows.h"

namespace lithe::plan {

/// Walks the rows of one sequence through the layers of a stream, one flag per row. Which rows a selector would choose
/// is not known here; the count assumes evenly spread rows (spread_rows), which changes the number of products only if
/// queries and keys of a layer differ.
class RowWalk {
 public:
  /// The rows of a prompt, in the order that PromptShape states. causal: a row sees the keys up to its own.
  static RowWalk of_prompt(const PromptShape& prompt);
  /// `rows` vision rows, each of which sees every key.
  static RowWalk of_tile(int64_t rows);

  /// Counts the next layer and drops the rows that do not return. `entry` may be null: dense.
  RowCount next(const LayerPlan* entry);

 private:
  struct Row {
    RowKind kind = RowKind::text;
    bool kept = true;  ///< Chosen, or governed by no rule.
    bool leaves = false;
    Switches runs;
  };

  RowWalk(std::vector<Row> rows, bool causal) : rows_(std::move(rows)), causal_(causal) {}
  void apply(const LayerPlan& layer, const Rule& rule, RowCount& count);
  void tally(bool attention, RowCount& count) const;
  int64_t text_after(const std::vector<std::size_t>& members) const;

  std::vector<Row> rows_;  ///< Alive rows only, in order.
  bool causal_;
};

}  // namespace lithe::plan

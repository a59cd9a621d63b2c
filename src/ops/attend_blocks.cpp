#include "ops/attend_blocks.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "ops/attend_kernels.h"
#include "ops/attend_pairs.h"

namespace lithe::ops {
namespace {

constexpr size_t kStretchBlocks = kStretchRows / kBlockRows;
/// Least multiplications per thread.
constexpr int64_t kLeastPairs = 1 << 16;

/// A block, and which of the sequence's keys it holds.
struct PlacedBlock {
  const char* data = nullptr;
  KeyValueKind kind = KeyValueKind::float32;
  int64_t first = 0, end = 0;
};

/// The blocks of one sequence. Fresh rows are put into blocks of their own.
struct SequenceBlocks {
  explicit SequenceBlocks(const KeyValueView& view) {
    for (int64_t first = 0; first < view.held.rows(); first += kBlockRows)
      place(view.held.blocks[static_cast<size_t>(first / kBlockRows)], first, view.held.rows());
    for (int64_t first = 0; first < view.fresh.rows(); first += kBlockRows) {
      const int64_t rows = std::min(kBlockRows, view.fresh.rows() - first);
      const Tensor keys = view.fresh.keys.narrow(0, first, rows), values = view.fresh.values.narrow(0, first, rows);
      own.push_back(empty_block(keys, KeyValueKind::float32));
      store_rows(own.back(), 0, keys, values);
      place(own.back(), view.held.rows() + first, view.rows());
    }
  }

  void place(const Tensor& block, int64_t first, int64_t end) {
    placed.push_back(
        {static_cast<const char*>(block.const_data_ptr()), kind_of(block), first, std::min(end, first + kBlockRows)});
  }

  std::vector<PlacedBlock> placed;
  std::vector<Tensor> own;
};

/// Some queries of one sequence over some of its blocks. Each kv head of it is one piece of work.
struct Task {
  const std::vector<PlacedBlock>* blocks = nullptr;
  size_t first_block = 0, last_block = 0;
  int64_t first_query = 0, queries = 0;  // rows of the batch
  int64_t partial = -1;                  // where its sums are kept for merging; -1: they are the answer
};

/// Tasks with the same queries, whose sums become one answer.
struct Merge {
  size_t first_task = 0, last_task = 0;
};

struct Piece {
  size_t task = 0;
  int64_t kv_head = 0;
};

struct Sums {
  float *peak = nullptr, *sum = nullptr, *out = nullptr;
};

/// The calls of one attend_blocks.
class Run {
 public:
  Run(const PackedQueries& queries, const std::vector<KeyValueView>& views, const AttendOptions& options,
      int64_t kv_heads, float* out)
      : queries_(queries.rows.const_data_ptr<float>()),
        heads_(queries.rows.size(1)),
        kv_heads_(kv_heads),
        group_(heads_ / kv_heads_),
        width_(queries.rows.size(2)),
        scale_(static_cast<float>(options.scale)),
        out_(out) {
    blocks_.reserve(views.size());  // because tasks point to them
    for (size_t i = 0; i < views.size(); ++i) {
      const int64_t begin = queries.offsets[i], count = queries.offsets[i + 1] - begin;
      const std::vector<Visible> seen = visible_keys(
          queries.positions.subspan(static_cast<size_t>(begin), static_cast<size_t>(count)), views[i], options);
      visible_.insert(visible_.end(), seen.begin(), seen.end());
      if (count > 0) plan(blocks_.emplace_back(views[i]).placed, begin, count);
    }
    partials_.resize(static_cast<size_t>(partial_floats_));
  }

  void run() {
    const int64_t grain =
        std::max<int64_t>(1, kLeastPairs * static_cast<int64_t>(pieces_.size()) / std::max<int64_t>(cost_, 1));
    at::parallel_for(0, static_cast<int64_t>(pieces_.size()), grain, [&](int64_t begin, int64_t end) {
      Scratch scratch(largest_tile_ * group_, width_);
      for (int64_t i = begin; i < end; ++i) attend(pieces_[static_cast<size_t>(i)], scratch);
    });
    const auto merges = static_cast<int64_t>(merges_.size());
    at::parallel_for(0, merges * kv_heads_, std::max<int64_t>(1, grain), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) merge(merges_[static_cast<size_t>(i / kv_heads_)], i % kv_heads_);
    });
  }

 private:
  /// Scratch memory of one thread.
  struct Scratch {
    Scratch(int64_t rows, int64_t width)
        : queries(static_cast<size_t>(rows * width)),
          scores(static_cast<size_t>(rows * kBlockRows)),
          widened(static_cast<size_t>(2 * kBlockRows * width)),
          sums(static_cast<size_t>(rows * (width + 2))),
          query_pairs(static_cast<size_t>(2 * rows * pairs_of(width))),
          visible(static_cast<size_t>(rows)) {}

    std::vector<float> queries, scores, widened, sums;
    std::vector<uint32_t> query_pairs;
    std::vector<Visible> visible;
  };

  /// The blocks with keys that the queries see: [first, last).
  std::pair<size_t, size_t> seen_blocks(const std::vector<PlacedBlock>& blocks, int64_t first_query,
                                        int64_t queries) const {
    const Visible all =
        seen_by_any(std::span(visible_).subspan(static_cast<size_t>(first_query), static_cast<size_t>(queries)));
    size_t first = 0, last = blocks.size();
    while (first < last && blocks[first].end <= all.begin) ++first;
    while (first < last && blocks[last - 1].first >= all.end) --last;
    return {first, last};
  }

  /// Cuts one sequence into tasks: tiles of queries, or, if there is only one tile, stretches of keys.
  void plan(const std::vector<PlacedBlock>& blocks, int64_t begin, int64_t count) {
    const size_t first_task = tasks_.size();
    const KeyValueKind kind = blocks.empty() ? KeyValueKind::float32 : blocks.front().kind;
    const int64_t tile = std::max<int64_t>(1, tile_rows(kind) / group_);
    largest_tile_ = std::max(largest_tile_, std::min(tile, count));
    for (int64_t first = 0; first < count; first += tile) {
      const int64_t rows = std::min(tile, count - first);
      const auto [from, to] = seen_blocks(blocks, begin + first, rows);
      tasks_.push_back({&blocks, from, to, begin + first, rows});
    }
    if (tasks_.size() == first_task + 1) cut_last_task();
    add_pieces(first_task);
  }

  void cut_last_task() {
    const size_t first_task = tasks_.size() - 1;
    const Task whole = tasks_.back();
    const auto stretch_end = [](size_t block) { return (block / kStretchBlocks + 1) * kStretchBlocks; };
    for (size_t first = whole.first_block; stretch_end(first) < whole.last_block; first = stretch_end(first)) {
      tasks_.back().last_block = stretch_end(first);
      tasks_.push_back(whole);
      tasks_.back().first_block = stretch_end(first);
    }
    if (tasks_.size() > first_task + 1) keep_partials(first_task);
  }

  void keep_partials(size_t first_task) {
    merges_.push_back({first_task, tasks_.size()});
    for (size_t i = first_task; i < tasks_.size(); ++i) {
      tasks_[i].partial = partial_floats_;
      partial_floats_ += kv_heads_ * tasks_[i].queries * group_ * (width_ + 2);
    }
  }

  /// Head after head, so that a head's keys stay in the caches. Under a causal mask late tiles see more keys than early
  /// ones: they alternate, so that all threads get equal work.
  void add_pieces(size_t first_task) {
    const size_t count = tasks_.size() - first_task;
    for (int64_t head = 0; head < kv_heads_; ++head) {
      for (size_t i = 0; i < count; ++i) {
        const size_t task = first_task + (i % 2 == 0 ? i / 2 : count - 1 - i / 2);
        pieces_.push_back({task, head});
        cost_ += tasks_[task].queries * group_ * width_ * 2 * kBlockRows *
                 static_cast<int64_t>(tasks_[task].last_block - tasks_[task].first_block);
      }
    }
  }

  Sums sums_at(float* data, int64_t rows) const { return {data, data + rows, data + 2 * rows}; }
  Sums partial_of(const Task& task, int64_t kv_head) {
    const int64_t rows = task.queries * group_;
    return sums_at(partials_.data() + task.partial + kv_head * rows * (width_ + 2), rows);
  }

  void attend(const Piece& piece, Scratch& scratch) {
    const Task& task = tasks_[piece.task];
    const int64_t rows = task.queries * group_;
    const Sums sums = task.partial < 0 ? sums_at(scratch.sums.data(), rows) : partial_of(task, piece.kv_head);
    std::fill_n(sums.peak, rows, -std::numeric_limits<float>::infinity());
    std::fill_n(sums.sum, rows * (width_ + 1), 0.0f);  // `out` too, which follows
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t query = task.first_query + row / group_, head = piece.kv_head * group_ + row % group_;
      const float* from = queries_ + (query * heads_ + head) * width_;
      std::transform(from, from + width_, scratch.queries.begin() + row * width_, [&](float x) { return x * scale_; });
      scratch.visible[static_cast<size_t>(row)] = visible_[static_cast<size_t>(query)];
    }
    const AttendTile tile{.rows = rows,
                          .width = width_,
                          .queries = scratch.queries.data(),
                          .query_pairs = scratch.query_pairs.data(),
                          .visible = scratch.visible.data(),
                          .peak = sums.peak,
                          .sum = sums.sum,
                          .out = sums.out,
                          .scores = scratch.scores.data(),
                          .widened = scratch.widened.data()};
    if (attends_in_pairs(rows)) split_queries(tile);
    for (size_t i = task.first_block; i < task.last_block; ++i) {
      const PlacedBlock& block = (*task.blocks)[i];
      const int64_t head_bytes = kBlockRows * pair_bytes(block.kind, width_);
      attend_to_block(tile,
                      {block.data + piece.kv_head * head_bytes, block.kind, block.first, block.end - block.first});
    }
    if (task.partial < 0) write(task, piece.kv_head, sums);
  }

  /// out / sum; 0 for a query that saw nothing.
  void write(const Task& task, int64_t kv_head, const Sums& sums) {
    for (int64_t row = 0; row < task.queries * group_; ++row) {
      const int64_t query = task.first_query + row / group_, head = kv_head * group_ + row % group_;
      const float factor = sums.sum[row] == 0 ? 0.0f : 1.0f / sums.sum[row];
      const float* from = sums.out + row * width_;
      std::transform(from, from + width_, out_ + (query * heads_ + head) * width_, [&](float x) { return x * factor; });
    }
  }

  /// Adds the sums of all stretches to those of the first, each brought to the larger of the two peaks.
  void merge(const Merge& merge, int64_t kv_head) {
    const Task& first = tasks_[merge.first_task];
    const Sums all = partial_of(first, kv_head);
    for (size_t i = merge.first_task + 1; i < merge.last_task; ++i) {
      const Sums more = partial_of(tasks_[i], kv_head);
      for (int64_t row = 0; row < first.queries * group_; ++row) {
        if (more.sum[row] == 0) continue;
        const float peak = std::max(all.peak[row], more.peak[row]);
        const float old_factor = std::exp(all.peak[row] - peak), factor = std::exp(more.peak[row] - peak);
        all.peak[row] = peak;
        all.sum[row] = all.sum[row] * old_factor + more.sum[row] * factor;
        float* out = all.out + row * width_;
        const float* from = more.out + row * width_;
        for (int64_t c = 0; c < width_; ++c) out[c] = out[c] * old_factor + from[c] * factor;
      }
    }
    write(first, kv_head, all);
  }

  const float* queries_;
  const int64_t heads_, kv_heads_, group_, width_;
  const float scale_;
  std::vector<Visible> visible_;  // of each row of the batch
  std::vector<SequenceBlocks> blocks_;
  std::vector<Task> tasks_;
  std::vector<Merge> merges_;
  std::vector<Piece> pieces_;
  std::vector<float> partials_;
  int64_t partial_floats_ = 0, largest_tile_ = 0, cost_ = 0;
  float* out_;
};

}  // namespace

Tensor attend_blocks(const PackedQueries& queries, const std::vector<KeyValueView>& views,
                     const AttendOptions& options) {
  const auto known = std::find_if(views.begin(), views.end(), [](const KeyValueView& view) { return view.rows() > 0; });
  if (known == views.end()) return at::zeros_like(queries.rows);
  Tensor out = at::empty_like(queries.rows);
  Run(queries, views, options, known->kv_heads(), out.mutable_data_ptr<float>()).run();
  return out;
}

}  // namespace lithe::ops

#include "ops/attend_node.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "ops/attend_pieces.h"
#include "ops/learns.h"

namespace lithe::ops {
namespace {

namespace autograd = torch::autograd;

/// With fewer pieces for a thread than this, LibTorch shares each of them among the threads.
constexpr int64_t kPiecesOfAThread = 4;

struct PlacedPiece {
  AttendPiece piece;
  size_t view = 0;
  int64_t row = 0;  // of the first query among all
  Tensor sums;      // log-sum-exp, for the backward pass
};

/// What one pass computes, without the tensors of autograd.
struct Work : torch::CustomClassHolder {
  std::vector<PlacedPiece> pieces;
  double scale = 1.0;

  template <class Run>
  void each(const Run& run) {
    const auto count = static_cast<int64_t>(pieces.size());
    const auto some = [&](int64_t begin, int64_t end) {
      const at::NoGradGuard none;  // of this thread
      for (int64_t i = begin; i < end; ++i)
        if (pieces[static_cast<size_t>(i)].piece.length > 0) run(pieces[static_cast<size_t>(i)]);
    };
    if (count < kPiecesOfAThread * at::get_num_threads()) return some(0, count);
    at::parallel_for(0, count, 1, some);
  }
};

/// The tensors of one piece as LibTorch's attention takes them.
struct Laid {
  Tensor queries, keys, values;

  Laid(const PlacedPiece& placed, const Tensor& rows, const Tensor& all_keys, const Tensor& all_values) {
    const AttendPiece& piece = placed.piece;
    queries = laid_queries(rows.narrow(0, placed.row, piece.count), all_keys.size(1));
    keys = laid_keys(all_keys.narrow(0, piece.first, piece.length), rows.size(1));
    values = laid_keys(all_values.narrow(0, piece.first, piece.length), rows.size(1));
  }
};

/// Adds the gradient of a piece's keys or values to that of their view.  laid: [.., length, d]; to: [rows, kv_heads, d]
void add_laid(const Tensor& laid, const AttendPiece& piece, const Tensor& to) {
  const bool alone = laid.size(0) == 1 && laid.size(1) == to.size(1);  // no heads share it
  const Tensor heads = alone ? laid.squeeze(0) : laid.sum(1);
  to.narrow(0, piece.first, piece.length).add_(heads.transpose(0, 1));
}

// The tensors are the queries, then keys and values of each view.
struct AttendNode : autograd::Function<AttendNode> {
  static Tensor forward(autograd::AutogradContext* context, at::TensorList tensors,
                        const c10::intrusive_ptr<Work>& work) {
    const Tensor& queries = tensors[0];
    const Tensor out = at::zeros_like(queries);
    work->each([&](PlacedPiece& placed) {
      const AttendPiece& piece = placed.piece;
      const Laid laid(placed, queries, tensors[1 + 2 * placed.view], tensors[2 + 2 * placed.view]);
      auto [attended, sums] = at::_scaled_dot_product_flash_attention_for_cpu(laid.queries, laid.keys, laid.values, 0.0,
                                                                              piece.causal, piece.mask, work->scale);
      placed.sums = std::move(sums);
      const Tensor rows = rows_of_laid(attended);
      out.narrow(0, placed.row, piece.count).copy_(piece.sighted ? rows * *piece.sighted : rows);
    });
    autograd::variable_list saved(tensors.begin(), tensors.end());
    saved.push_back(out);
    context->save_for_backward(std::move(saved));
    context->saved_data["work"] = at::IValue::make_capsule(work);
    return out;
  }

  static autograd::variable_list backward(autograd::AutogradContext* context, autograd::variable_list gradients) {
    const autograd::variable_list saved = context->get_saved_variables();
    const auto held = c10::static_intrusive_pointer_cast<Work>(context->saved_data["work"].toCapsule());
    Work& work = *held;
    const Tensor &queries = saved.front(), &out = saved.back(), given = gradients[0].contiguous();
    const Tensor to = at::zeros_like(queries);
    const int64_t kv_heads = saved[1].size(1);
    std::vector<Found> found(work.pieces.size());
    work.each([&](PlacedPiece& placed) {
      const AttendPiece& piece = placed.piece;
      const Laid laid(placed, queries, saved[1 + 2 * placed.view], saved[2 + 2 * placed.view]);
      const Tensor attended = laid_queries(out.narrow(0, placed.row, piece.count), kv_heads);
      const Tensor slopes = given.narrow(0, placed.row, piece.count);
      const Tensor y = laid_queries(piece.sighted ? slopes * *piece.sighted : slopes, kv_heads);
      auto [query, key, value] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
          y, laid.queries, laid.keys, laid.values, attended, placed.sums, 0.0, piece.causal, piece.mask, work.scale);
      to.narrow(0, placed.row, piece.count).copy_(rows_of_laid(query));
      found[static_cast<size_t>(&placed - work.pieces.data())] = {std::move(key), std::move(value)};
    });
    autograd::variable_list all{to};
    for (size_t i = 1; i + 1 < saved.size(); ++i) all.push_back(at::zeros_like(saved[i]));
    for (size_t i = 0; i < found.size(); ++i) {
      const PlacedPiece& placed = work.pieces[i];
      if (placed.piece.length == 0) continue;
      add_laid(found[i].keys, placed.piece, all[1 + 2 * placed.view]);
      add_laid(found[i].values, placed.piece, all[2 + 2 * placed.view]);
    }
    all.emplace_back();  // of `work`
    return all;
  }

 private:
  struct Found {
    Tensor keys, values;
  };
};

}  // namespace

bool takes_attend_node(const PackedQueries& queries, const std::vector<KeyValueView>& views) {
  const auto is_fresh = [&](const KeyValueView& view) {
    return view.held.rows() == 0 && view.fresh.keys.defined() &&
           view.fresh.keys.scalar_type() == queries.rows.scalar_type();
  };
  if (!queries.rows.device().is_cpu() || !std::all_of(views.begin(), views.end(), is_fresh)) return false;
  return learns(queries.rows) || std::any_of(views.begin(), views.end(), [](const KeyValueView& view) {
           return learns(view.fresh.keys) || learns(view.fresh.values);
         });
}

Tensor attend_node(const PackedQueries& queries, const std::vector<KeyValueView>& views, const AttendOptions& options) {
  const auto work = c10::make_intrusive<Work>();
  work->scale = options.scale;
  std::vector<Tensor> tensors{queries.rows};
  for (size_t i = 0; i < views.size(); ++i) {
    tensors.push_back(views[i].fresh.keys);
    tensors.push_back(views[i].fresh.values);
    const int64_t begin = queries.offsets[i], count = queries.offsets[i + 1] - begin;
    if (count == 0) continue;
    const auto positions = queries.positions.subspan(static_cast<size_t>(begin), static_cast<size_t>(count));
    for (AttendPiece& piece : pieces_of(positions, views[i], options, queries.rows)) {
      const int64_t row = begin + piece.begin;
      work->pieces.push_back({std::move(piece), i, row, {}});
    }
  }
  return AttendNode::apply(at::TensorList(tensors), work);
}

}  // namespace lithe::ops

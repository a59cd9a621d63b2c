#include "tune/loss.h"

#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "nn/cross_entropy.h"
#include "routing/index_tensor.h"
#include "text/labels.h"

namespace lithe::tune {

Tensor summed_loss(const models::Decoder& decoder, const TrainingRows& rows, const routing::Observer& observer) {
  routing::Batch alive;
  const Tensor hidden = decoder.forward(rows.batch, rows.embeddings, observer, &alive);
  std::vector<int64_t> learnt, targets;  // rows that are alive at the end, and what they are to predict
  std::vector<uint64_t> draws;           // of dropout
  for (size_t sequence = 0; sequence + 1 < alive.offsets.size(); ++sequence) {
    for (int64_t row = alive.offsets[sequence]; row < alive.offsets[sequence + 1]; ++row) {
      const auto begin = static_cast<size_t>(rows.batch.offsets[sequence]);
      const size_t entered =
          begin + static_cast<size_t>(alive.order[static_cast<size_t>(row)] - rows.batch.order[begin]);
      const int64_t target = rows.targets[entered];
      if (target == text::kIgnored) continue;
      learnt.push_back(row);
      targets.push_back(target);
      if (!alive.draws.empty()) draws.push_back(alive.draws[static_cast<size_t>(row)]);
    }
  }
  require(static_cast<int64_t>(learnt.size()) == rows.learnt(), Fault::bad_request, "the plan drops ",
          rows.learnt() - static_cast<int64_t>(learnt.size()),
          " rows for good that an answer is learnt from; training needs a plan that keeps all text");
  if (learnt.empty()) return at::zeros({}, hidden.options());
  const Tensor last = decoder.norm(hidden.index_select(0, routing::index_tensor(learnt, hidden)));
  return nn::summed_cross_entropy(decoder.head, last, routing::index_tensor(targets, hidden), draws);
}

}  // namespace lithe::tune

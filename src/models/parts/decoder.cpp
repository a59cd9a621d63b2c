#include "models/parts/decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>

#include "base/error.h"

namespace lithe::models {

Tensor Decoder::embed(const Tensor& ids) const { return embeddings.index_select(0, ids).to(at::kFloat); }

Tensor Decoder::forward(routing::Batch batch, Tensor x, const routing::Observer& observer, routing::Batch* alive) const {
  batch.angles = ops::rope_angles(config.rope, batch.positions).to(x);
  routing::Executor executor(std::move(batch), "decoder", static_cast<int64_t>(blocks.size()));
  if (observer) executor.observe(observer);
  for (size_t layer = 0; layer < blocks.size(); ++layer) x = executor.run(blocks[layer], static_cast<int64_t>(layer), std::move(x));
  if (alive) *alive = executor.batch();
  return x;
}

Tensor Decoder::logits(const Tensor& x) const { return head(norm(x)).to(at::kFloat); }

}  // namespace lithe::models

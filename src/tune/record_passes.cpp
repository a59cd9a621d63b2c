#include "tune/record_passes.h"

#include <ATen/core/grad_mode.h>

#include <vector>

namespace lithe::tune {
namespace {

constexpr int64_t kRows = 2048;  // of a pass, about

}  // namespace

void each_pass(const Packer& packer, const data::DataSet& set, std::span<const int64_t> records,
               const std::function<void(TrainingRows)>& take) {
  const at::NoGradGuard no_gradient;
  std::vector<Sample> waiting;
  int64_t rows = 0;
  for (size_t i = 0; i < records.size(); ++i) {
    waiting.push_back(make_sample(packer.model, set.read(records[i]), packer.options));
    count_rows(packer.model, waiting.back(), packer.options);
    rows += waiting.back().rows;
    if (rows < kRows && i + 1 < records.size()) continue;
    take(pack_samples(packer.model, packer.plan, waiting, {.longest = packer.options.longest}));
    waiting.clear();
    rows = 0;
  }
}

}  // namespace lithe::tune

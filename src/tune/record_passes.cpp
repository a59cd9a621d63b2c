#include "tune/record_passes.h"

#include <ATen/core/grad_mode.h>

#include <utility>
#include <vector>

#include "session/prompt_rows.h"

namespace lithe::tune {
namespace {

constexpr int64_t kRows = 2048;  // of a pass, about

}  // namespace

void each_pass(const models::Model& model, const plan::Plan& plan, const data::DataSet& set,
               std::span<const int64_t> records, const std::function<void(TrainingRows)>& take) {
  const at::NoGradGuard no_gradient;
  const SampleOptions options{.longest = session::longest_sequence(model)};
  std::vector<Sample> waiting;
  int64_t rows = 0;
  for (size_t i = 0; i < records.size(); ++i) {
    waiting.push_back(make_sample(model, set.read(records[i]), options));
    count_rows(model, waiting.back(), options);
    rows += waiting.back().rows;
    if (rows < kRows && i + 1 < records.size()) continue;
    take(pack_samples(model, plan, waiting, {.longest = options.longest}));
    waiting.clear();
    rows = 0;
  }
}

}  // namespace lithe::tune

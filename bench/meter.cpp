// Runs METER over a batch of pairs, for bench/meter_against_pytorch.py: answers each line of stdin with the time of one
// pass to the logits of the head vqa, and "logits" with those of the first pair.
//   build/release/bin/bench_meter CHECKPOINT --lengths 8,12,..
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/sin.h>
#include <c10/core/InferenceMode.h>

#include <ctime>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "checkpoints/read/meter.h"

namespace lithe::models {
namespace {

struct Options {
  std::string checkpoint;
  std::vector<int64_t> lengths;
};

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    if (std::string(arguments[i]) != "--lengths") {
      options.checkpoint = arguments[i];
      continue;
    }
    require(++i < count, Fault::bad_request, "--lengths needs numbers");
    std::stringstream stream(arguments[i]);
    for (std::string number; std::getline(stream, number, ',');) options.lengths.push_back(std::stoll(number));
  }
  require(!options.checkpoint.empty() && !options.lengths.empty(), Fault::bad_request,
          "usage: bench_meter CHECKPOINT --lengths 8,12");
  return options;
}

/// The same texts and pictures as in the Python beside it.
class TextsAndPictures {
 public:
  TextsAndPictures(const Meter& meter, const std::vector<int64_t>& lengths)
      : meter_(meter), poolers_(meter.streams.for_poolers(meter.plan)) {
    for (size_t i = 0; i < lengths.size(); ++i) {
      TextIds text{{0}};
      for (int64_t j = 1; j + 1 < lengths[i]; ++j)
        text.ids.push_back(4 + (17 * j + 31 * static_cast<int64_t>(i)) % 1000);
      text.ids.push_back(2);
      texts_.push_back(std::move(text));
      pairs_.push_back({i, i});
    }
    const int64_t side = meter.tower.config.image.width, count = static_cast<int64_t>(lengths.size());
    pixels_ = at::sin(at::arange(count * 3 * side * side, at::kFloat) * 0.01).view({count, 3, side, side});
  }

  at::Tensor logits() const {
    const c10::InferenceMode no_gradients;
    return (*meter_.heads.vqa)(meter_.fuse(meter_.read(texts_), meter_.look(pixels_), pairs_, &poolers_).pooled);
  }

 private:
  const Meter& meter_;
  const plan::Plan poolers_;
  std::vector<TextIds> texts_;
  std::vector<Pair> pairs_;
  at::Tensor pixels_;
};

int serve(const Options& options) {
  const std::unique_ptr<Meter> meter = open_meter(options.checkpoint);
  const TextsAndPictures inputs(*meter, options.lengths);
  for (std::string line; std::getline(std::cin, line);) {
    const Stopwatch clock;
    const std::clock_t cpu = std::clock();
    const at::Tensor logits = inputs.logits();
    Json answer{{"ms", clock.elapsed_ms()}, {"cpu_ms", 1e3 * static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC}};
    if (line == "logits") {
      const float* const values = logits.const_data_ptr<float>();
      answer["logits"] = std::vector<float>(values, values + logits.numel());
    }
    std::cout << answer.dump() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace lithe::models

int main(int count, char** arguments) {
  try {
    return lithe::models::serve(lithe::models::parse(count, arguments));
  } catch (const std::exception& error) {
    std::cerr << "bench_meter: " << error.what() << "\n";
    return 1;
  }
}

#include "session/machine_speed.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "io/atomic_file.h"
#include "models/low_bit_weights.h"
#include "nn/weight.h"
#include "ops/attend.h"
#include "ops/norm.h"
#include "session/storage.h"

namespace lithe::session {
namespace {

using at::Tensor;

constexpr const char* kSchema = "lithe-speed/1";  // another number for kernels of another speed
/// A projection of a feed-forward network of 7B width, larger than caches as float32; and rows of decoding, of batches,
/// and of prompts.
constexpr int64_t kOuts = 11008, kHidden = 4096;
constexpr double kRows[] = {1, 2, 4, 8, 16, 64, 192, 640};

/// The shortest of some runs, in seconds: other work on the machine only adds to them.
double shortest(const std::function<void()>& run) {
  constexpr int kRuns = 3;
  double best = 0;
  for (int i = 0; i < kRuns; ++i) {
    const Stopwatch watch;
    run();
    const double seconds = watch.elapsed_ms() / 1e3;
    best = i == 0 ? seconds : std::min(best, seconds);
  }
  return best;
}

/// As the loader holds the weight of a product.
nn::Weight weight_of(models::WeightStorage storage, int64_t outs, int64_t width) {
  const Tensor values = at::rand({outs, width}, at::kFloat).sub_(0.5);
  const models::WeightName product{.part = models::Part::decoder, .role = models::Role::up};
  if (const auto codes = models::codes_for(product, {outs, width}, storage))
    return nn::Weight(ops::quantised(values, codes->kind, codes->group));
  if (storage == models::WeightStorage::bfloat16) return values.to(at::kBFloat16);
  return storage == models::WeightStorage::float16 ? values.to(at::kHalf) : values;
}

double attention_flops() {
  constexpr int64_t kTokens = 640, kHeads = 32, kWidth = 128;
  const Tensor rows = at::rand({kTokens, kHeads, kWidth}, at::kFloat);
  std::vector<int64_t> positions(kTokens);
  std::iota(positions.begin(), positions.end(), 0);
  const std::vector<int64_t> offsets{0, kTokens};
  const ops::KeyValueView view{{}, {rows, rows, positions}};
  const double seconds = shortest([&] { ops::attend_packed({rows, offsets, positions}, {view}, {.scale = 0.1}); });
  return 4.0 * kHeads * kWidth * kTokens * (kTokens + 1) / 2 / seconds;
}

plan::MachineSpeed measured(models::WeightStorage storage) {
  const at::NoGradGuard no_gradients;
  plan::MachineSpeed speed;
  const nn::Weight weight = weight_of(storage, kOuts, kHidden), little = weight_of(storage, 64, 64);
  for (const double rows : kRows) {
    const Tensor x = at::rand({static_cast<int64_t>(rows), kHidden}, at::kFloat);
    const double seconds = shortest([&] { weight.product(x, std::nullopt); });
    speed.products.push_back({rows, 2 * rows * static_cast<double>(weight.count()) / seconds});
    if (rows == 1) speed.bytes = static_cast<double>(weight.bytes()) / seconds;
  }
  const Tensor one = at::rand({1, 64}, at::kFloat);
  speed.call = shortest([&] { little.product(one, std::nullopt); });
  const Tensor rows = at::rand({640, kHidden}, at::kFloat), gain = at::ones({kHidden}, at::kFloat);
  speed.values = static_cast<double>(rows.numel()) / shortest([&] { ops::rms_norm(rows, gain, 1e-5); });
  speed.attention = attention_flops();
  return speed;
}

Json to_json(const plan::MachineSpeed& speed) {
  Json products = Json::array();
  for (const auto& [rows, flops] : speed.products) products.push_back({{"rows", rows}, {"flops_per_s", flops}});
  return {{"products", products},
          {"attention_flops_per_s", speed.attention},
          {"bytes_per_s", speed.bytes},
          {"values_per_s", speed.values},
          {"call_s", speed.call}};
}

plan::MachineSpeed from_json(const Json& json, const std::string& source) {
  const JsonView keys(json, source);
  plan::MachineSpeed speed{.attention = keys.number("attention_flops_per_s"),
                           .bytes = keys.number("bytes_per_s"),
                           .values = keys.number("values_per_s"),
                           .call = keys.number("call_s")};
  double before = 0;
  for (const Json& entry : keys.json().at("products")) {
    const JsonView product(entry, source);
    speed.products.push_back({product.number("rows"), product.number("flops_per_s")});
    const bool ascends = speed.products.back().rows > before && speed.products.back().flops > 0;
    require(ascends, Fault::bad_file, source, ": the speeds of products are not ascending in rows");
    before = speed.products.back().rows;
  }
  require(!speed.products.empty() && speed.attention > 0 && speed.bytes > 0 && speed.values > 0 && speed.call >= 0,
          Fault::bad_file, source, ": a speed is missing or not positive");
  return speed;
}

/// What is kept for this machine; an empty object if that is nothing.
Json kept(const std::filesystem::path& file, const std::string& machine) {
  try {
    const Json json = file.empty() ? Json::object() : read_json_file(file, size_t{1} << 20);
    if (json.is_object() && json.value("schema", "") == kSchema && json.value("machine", "") == machine &&
        json.contains("speeds") && json.at("speeds").is_object())
      return json.at("speeds");
  } catch (const std::exception&) {  // not there, or damaged
  }
  return Json::object();
}

void keep(const std::filesystem::path& file, const std::string& machine, const Json& speeds) {
  if (file.empty()) return;
  try {
    io::make_folder(file.parent_path());
    io::write_json_atomic(file, {{"schema", kSchema}, {"machine", machine}, {"speeds", speeds}});
  } catch (const Error&) {  // measured again next time
  }
}

}  // namespace

std::filesystem::path speed_file() {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache != '\0') return std::filesystem::path(cache) / "lithe/speed.json";
  const char* const home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') return {};
  return std::filesystem::path(home) / ".cache/lithe/speed.json";
}

plan::MachineSpeed machine_speed(const std::string& weights, const std::string& machine,
                                 const std::filesystem::path& file) {
  const models::WeightStorage storage = storage_named(weights);
  require(storage != models::WeightStorage::as_in_file, Fault::bad_request,
          "a speed is measured for one type of weights, not for auto");
  Json speeds = kept(file, machine);
  try {
    if (speeds.contains(weights)) return from_json(speeds.at(weights), file.string());
  } catch (const std::exception&) {  // damaged
  }
  const plan::MachineSpeed speed = measured(storage);
  speeds[weights] = to_json(speed);
  keep(file, machine, speeds);
  return speed;
}

}  // namespace lithe::session

// Times a training step (forward, backward, AdamW) of a random model of llava-1.5-7b's width: dense, p-MoD, dense again
// in turn. Prints time and activations beside what is counted. --serve answers each line of stdin with one dense step,
// for bench/tune_against_pytorch.py.
//   build/release/bin/bench_tune [--layers 2] [--rounds 5] [--learn full|lora] [--weights float32|bfloat16]
//                                [--compute float32|bfloat16] [--lengths 676,..] [--device cuda] [--recompute]
//                                [--serve]
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "allocation_meter.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/vector_set.h"
#include "bench_program.h"
#include "models/compute.h"
#include "plan/cost.h"
#include "plan/parse.h"
#include "session/device_wait.h"
#include "session/threads.h"
#include "text/labels.h"
#include "tune/adamw.h"
#include "tune/loss.h"

namespace lithe::tune {
namespace {

constexpr int64_t kVision = 576, kLabels = 20, kRank = 128;  // LLaVA's LoRA has rank 128, and alpha 256
constexpr double kMib = 1 << 20;

struct Options {
  int64_t layers = 2, rounds = 5;
  bool lora = false, recomputes = false, serves = false, in_bfloat16 = false;
  models::WeightStorage weights = models::WeightStorage::float32;
  std::vector<int64_t> lengths{kVision + 100};
  std::string device = "cpu";
};

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    if (name == "--recompute" || name == "--serve") {
      (name == "--serve" ? options.serves : options.recomputes) = true;
      continue;
    }
    require(i + 1 < count, Fault::bad_request, name, " needs a value");
    const std::string value = arguments[++i];
    if (name == "--layers") {
      options.layers = std::stoll(value);
    } else if (name == "--rounds") {
      options.rounds = std::stoll(value);
    } else if (name == "--lengths") {
      options.lengths = bench::numbers_of(value);
    } else if (name == "--device") {
      options.device = value;
    } else if (name == "--learn") {
      options.lora = value == "lora";
    } else if (name == "--weights") {
      if (value == "bfloat16") options.weights = models::WeightStorage::bfloat16;
    } else if (name == "--compute") {
      options.in_bfloat16 = value == "bfloat16";
    } else {
      fail(Fault::bad_request, name, " is not an option");
    }
  }
  return options;
}

void learn(const models::WeightPlace& place) {
  if (auto* const* tensor = std::get_if<Tensor*>(&place))
    (*tensor)->set_requires_grad(true);
  else if (auto* const* weight = std::get_if<nn::Weight*>(&place))
    **weight = nn::Weight((*weight)->widened(at::kFloat).detach().set_requires_grad(true));
}

nn::LowRank lora(int64_t in, int64_t out, const at::Device& device) {
  return {(at::randn({kRank, in}, at::kFloat) * 0.01).to(device).set_requires_grad(true),
          at::zeros({out, kRank}, at::kFloat).to(device).set_requires_grad(true), 2.0};
}

/// What learns: every weight but the embeddings, or the routers and LoRA on every product of a layer.
void let_learn(models::Model& model, const Options& options) {
  visit(model.decoder, [&](const models::WeightSlot& slot) {
    const bool router = slot.name.role == models::Role::router;
    if (router || (!options.lora && slot.name.role != models::Role::embeddings))
      learn(slot.place);
    else if (options.lora && slot.linear && slot.name.in_layer())
      slot.linear->low_rank = lora(slot.shape[1], slot.shape[0], at::Device(options.device));
  });
}

/// Samples of these lengths: the picture after the first text, if there is room for one, and labels at the end.
TrainingRows rows_of(const models::Model& model, const plan::Plan& plan, const std::vector<int64_t>& lengths) {
  TrainingRows rows;
  at::Generator generator = at::detail::createCPUGenerator(1);
  for (const int64_t length : lengths) {
    const int64_t text = length > kVision ? length - kVision : length;
    std::vector<routing::RowKind> kinds(static_cast<size_t>(length), routing::RowKind::text);
    if (length > kVision) std::fill_n(kinds.begin() + text / 2, kVision, routing::RowKind::vision);
    rows.batch.add({.plan = &plan, .prompt_end = length - kLabels}, kinds);
    for (int64_t row = 0; row < length; ++row) rows.targets.push_back(row < length - kLabels ? text::kIgnored : row);
  }
  rows.embeddings = at::randn({rows.rows(), model.decoder.config.hidden}, generator, at::kFloat)
                        .to(model.decoder.embeddings.device());
  rows.embeddings.set_requires_grad(true);  // as a projector that learns asks for
  return rows;
}

/// Operations of the decoder's layers, and of the head for rows with a label. A backward pass has twice as many, so the
/// share of a plan is the same.
double counted(const models::Model& model, const plan::Plan& plan, const std::vector<int64_t>& lengths) {
  double flops = 0;
  const models::DecoderConfig& config = model.decoder.config;
  for (const int64_t length : lengths) {
    const int64_t vision = length > kVision ? kVision : 0, text = length - vision;
    const plan::CostTable table = plan::cost(
        plan, model.facts,
        {.vision_tokens = vision, .text_tokens = text, .text_before = text / 2, .tiles = vision > 0 ? 1 : 0});
    flops += table.total.decoder + 2.0 * static_cast<double>(config.hidden * config.vocab * kLabels);
  }
  return flops;
}

/// Processor time of all threads, which other work on the machine changes less than the time that passes.
double processor_ms() {
  return 1e3 * static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

struct StepCost {
  double cpu_ms = 0;
  double cpu_passes_ms = 0;  // forward and backward
  double forward_ms = 0, backward_ms = 0, optimiser_ms = 0;
  int64_t held = 0, peak = 0;  // bytes: activations kept for the backward pass; at most, with gradients
  double loss = 0;

  double passes_ms() const { return forward_ms + backward_ms; }
  double ms() const { return passes_ms() + optimiser_ms; }
};

/// Bytes of the head's gradient, which the loss forms in the forward pass (nn/cross_entropy.h): not an activation.
int64_t head_gradient(const models::Model& model) {
  const std::optional<Tensor> learning = model.decoder.head.weight.learning();
  return learning ? static_cast<int64_t>(learning->nbytes()) : 0;
}

StepCost step(const models::Model& model, const plan::Plan& plan, AdamW& optimiser,
              const std::vector<int64_t>& lengths) {
  StepCost cost;
  optimiser.forget_gradients();
  const TrainingRows rows = rows_of(model, plan, lengths);
  const auto meter = std::make_shared<test::AllocationMeter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
  const double cpu = processor_ms();
  const Stopwatch forward;
  const Tensor loss = summed_loss(model.decoder, rows);
  cost.loss = loss.item<double>();
  cost.forward_ms = forward.elapsed_ms();
  cost.held = meter->now() - head_gradient(model);
  const Stopwatch backward;
  loss.backward();
  session::wait_for(loss);
  cost.backward_ms = backward.elapsed_ms();
  cost.cpu_passes_ms = processor_ms() - cpu;
  cost.peak = meter->peak();
  const Stopwatch update;
  optimiser.scale_gradients(1.0 / static_cast<double>(rows.learnt()));
  optimiser.clip_gradients(1.0);
  optimiser.step(1e-6);
  session::wait_for(loss);
  cost.optimiser_ms = update.elapsed_ms();
  cost.cpu_ms = processor_ms() - cpu;
  return cost;
}

template <class Of>
std::vector<double> all(const std::vector<StepCost>& costs, Of of) {
  std::vector<double> values;
  for (const StepCost& cost : costs) values.push_back(static_cast<double>(of(cost)));
  return values;
}

template <class Of>
double median(const std::vector<StepCost>& costs, Of of) {
  return bench::median(all(costs, of));
}

template <class Of>
double least(const std::vector<StepCost>& costs, Of of) {
  return bench::least(all(costs, of));
}

void print(const char* name, const std::vector<StepCost>& costs) {
  std::printf(
      "%-6s forward %8.0f (%8.0f) ms, backward %8.0f (%8.0f) ms, AdamW %7.0f (%7.0f) ms; activations %7.1f MiB, peak "
      "%8.1f MiB; loss %.6f\n",
      name, median(costs, [](auto& c) { return c.forward_ms; }), least(costs, [](auto& c) { return c.forward_ms; }),
      median(costs, [](auto& c) { return c.backward_ms; }), least(costs, [](auto& c) { return c.backward_ms; }),
      median(costs, [](auto& c) { return c.optimiser_ms; }), least(costs, [](auto& c) { return c.optimiser_ms; }),
      static_cast<double>(costs.front().held) / kMib, static_cast<double>(costs.front().peak) / kMib,
      costs.front().loss);
}

void compare(const models::Model& model, AdamW& optimiser, const Options& options) {
  const plan::Plan dense;
  std::vector<StepCost> first, again, sparse;
  for (int64_t round = options.rounds > 1 ? -1 : 0; round < options.rounds; ++round) {  // the first warms up
    if (round == 0) first.clear(), again.clear(), sparse.clear();
    first.push_back(step(model, dense, optimiser, options.lengths));
    sparse.push_back(step(model, model.plan, optimiser, options.lengths));
    again.push_back(step(model, dense, optimiser, options.lengths));
  }
  print("dense", first);
  print("again", again);
  print("p-mod", sparse);
  const double share = counted(model, model.plan, options.lengths) / counted(model, dense, options.lengths);
  std::vector<StepCost> both = first;
  both.insert(both.end(), again.begin(), again.end());
  const auto ratio = [&](const char* what, auto of) {
    const double medians = median(sparse, of) / median(both, of), minima = least(sparse, of) / least(both, of);
    std::printf(
        "%-22s p-mod / dense: medians %.3f, minima %.3f; / counted %.3f: %.3f, %.3f; A/A %.1f %% (minima %.1f %%)\n",
        what, medians, minima, share, medians / share, minima / share,
        100 * std::abs(median(again, of) / median(first, of) - 1),
        100 * std::abs(least(again, of) / least(first, of) - 1));
  };
  ratio("forward", [](const StepCost& c) { return c.forward_ms; });
  ratio("backward", [](const StepCost& c) { return c.backward_ms; });
  ratio("both", [](const StepCost& c) { return c.passes_ms(); });
  ratio("step with AdamW", [](const StepCost& c) { return c.ms(); });
  ratio("processor, both", [](const StepCost& c) { return c.cpu_passes_ms; });
  ratio("processor, step", [](const StepCost& c) { return c.cpu_ms; });
  ratio("activations", [](const StepCost& c) { return static_cast<double>(c.held); });
  ratio("peak", [](const StepCost& c) { return static_cast<double>(c.peak); });
}

void serve(const models::Model& model, AdamW& optimiser, const Options& options) {
  for (std::string line; std::getline(std::cin, line);) {
    const StepCost cost = step(model, {}, optimiser, options.lengths);
    std::printf(
        "{\"ms\": %.3f, \"cpu_ms\": %.3f, \"forward_ms\": %.3f, \"backward_ms\": %.3f, \"held\": %lld, \"peak\": "
        "%lld}\n",
        cost.ms(), cost.cpu_ms, cost.forward_ms, cost.backward_ms, static_cast<long long>(cost.held),
        static_cast<long long>(cost.peak));
    std::fflush(stdout);
  }
}

void run(const Options& options) {
  session::prepare_device(options.device);
  const auto model = models::random_model("llava-1.5-7b", options.layers, 1, options.weights, 1, options.device);
  let_learn(*model, options);
  if (options.in_bfloat16) models::compute_in_bfloat16(*model);
  model->decoder.recomputes = options.recomputes;
  AdamW optimiser(group_parameters(learning_parameters(*model), {.learning_rate = 2e-5}), {});
  if (options.serves) return serve(*model, optimiser, options);
  std::printf("device %s, vector set %s, %d threads, load %.2f, %lld rounds: medians (minima)\n",
              session::device_name(options.device).c_str(), name_of(vector_set()), at::get_num_threads(), bench::load(),
              static_cast<long long>(options.rounds));
  compare(*model, optimiser, options);
  std::printf("load %.2f after\n", bench::load());
}

}  // namespace
}  // namespace lithe::tune

int main(int count, char** arguments) {
  return lithe::bench::exit_code([&] { lithe::tune::run(lithe::tune::parse(count, arguments)); });
}

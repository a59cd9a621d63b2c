#include "golden/eas_training.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>
#include <algorithm>
#include <cmath>

#include "checkpoints/read/catalogue.h"
#include "golden/device.h"
#include "golden/eas_samples.h"
#include "golden/sample_run.h"
#include "tune/parameters.h"

namespace lithe::golden {
namespace {

using at::Tensor;

/// The published code trains adapters and projector.
bool learns(const models::WeightName& name) {
  return name.adapter != models::Adapter::none || name.part == models::Part::projector;
}

class EasTraining {
 public:
  EasTraining(const Case& golden, Check& check)
      : golden_(golden),
        check_(check),
        inputs_(golden.folder / "inputs/inputs.safetensors"),
        model_(models::open_model(golden.folder / "checkpoint", {.device = device(), .learns = learns})) {}

  /// As published, padded; its values are compared too.
  void with_padding() {
    const EasSamples samples =
        padded(spliced(*model_, inputs_), golden_.expected.tensors.at("spliced.embeds").shape.at(1));
    floats("spliced.embeds", at::stack(samples.rows));
    const auto tail = [&](const std::string& name, const Tensor& x) {
      const int64_t rows = golden_.expected.tensors.at(name).shape.at(1);
      const Tensor each = x.view({static_cast<int64_t>(samples.rows.size()), -1, x.size(1)});
      floats(name, each.narrow(1, each.size(1) - rows, rows));
    };
    learn(samples, [&](const routing::LayerReport& report) {
      tail(fmt::format("train.layer{}.last24", report.layer), report.hidden);
      if (report.layer + 1 == model_->facts.layers) tail("train.logits.last24", model_->decoder.logits(report.hidden));
    });
  }

  /// As our own training runs: rows packed without padding.
  void packed() { learn(spliced(*model_, inputs_)); }

 private:
  /// The loss, and the gradients of every weight that learns, which are as many as the case has.
  void learn(const EasSamples& samples, const routing::Observer& observer = {}) {
    const Tensor loss = mean_loss(*model_, rows_of(samples, model_->plan, Means::prompt), observer);
    floats("train.loss", loss);
    loss.backward();
    const std::vector<tune::Parameter> parameters = tune::learning_parameters(*model_);
    for (const tune::Parameter& parameter : parameters)
      gradient("train.grad." + model_->loaded.origins.at(parameter.name).name, parameter.values);
    const auto& tensors = golden_.expected.tensors;
    const auto wanted = std::count_if(tensors.begin(), tensors.end(),
                                      [](const auto& entry) { return entry.first.starts_with("train.grad."); });
    check_.integers("weights that learn", {wanted}, {static_cast<int64_t>(parameters.size())});
  }

  /// Compares the gradient, and forgets it.
  void gradient(const std::string& name, Tensor leaf) {
    const auto expected = golden_.expected.tensors.find(name);
    if (expected == golden_.expected.tensors.end()) return check_.fault(name + " is not in the case");
    double largest = 0;  // the tolerance is a share of it
    for (const float value : expected->second.values<float>()) largest = std::max(largest, std::abs(double{value}));
    check_.floats(name, expected->second, values_of(leaf.grad()),
                  {golden_.tolerances.of({"grads"}).relative * largest});
    leaf.mutable_grad().reset();
  }

  void floats(const std::string& name, const Tensor& actual) {
    check_.floats(name, golden_.expected.tensors.at(name), values_of(actual.detach()),
                  golden_.tolerances.of({"values"}));
  }

  const Case& golden_;
  Check& check_;
  TensorFile inputs_;
  std::unique_ptr<models::Model> model_;
};

}  // namespace

void check_eas_training(const Case& golden, Check& check) {
  EasTraining training(golden, check);
  training.with_padding();
  training.packed();
}

}  // namespace lithe::golden

#include <ATen/TensorOperators.h>
#include <fmt/format.h>
#include <algorithm>

#include "base/error.h"
#include "checkpoints/read/catalogue.h"
#include "golden/device.h"
#include "golden/eas_samples.h"
#include "golden/lavin_case.h"
#include "golden/sample_run.h"
#include "text/labels.h"
#include "tune/parameters.h"

namespace lithe::golden {
namespace {

using at::Tensor;
using models::WeightName;

/// What the published code trains: "every parameter whose name contains 'adapter'".
bool lavin_learns(const WeightName& name) {
  return name.adapter != models::Adapter::none || name.part == models::Part::projector ||
         name.role == models::Role::modality;
}

/// A published name of a weight, without "module.".
std::string published(const WeightName& name) {
  const std::string text = text_of(name), kind = text.substr(text.rfind('.'));
  if (name.part == models::Part::projector) return concat("adapter_proj.conv_", name.layer == 0 ? "A" : "B", kind);
  if (name.role == models::Role::modality) return "adapter_modality_embedding.weight";
  if (name.part != models::Part::tower) return text;
  return "backbone.visual.transformer.resblocks." + text.substr(std::string("encoder.layers.").size());
}

class LavinTraining {
 public:
  LavinTraining(const Case& golden, Check& check)
      : golden_(golden),
        check_(check),
        inputs_(golden.folder / "inputs/inputs.safetensors"),
        folder_(lavin_base(golden.folder), golden.folder / "checkpoint/adapter", golden.json.at("config"),
                LavinFolderOfCase::Form::safetensors),
        model_(models::open_model(folder_.path(),
                                  {.weights = exact_storage(), .device = device(), .learns = lavin_learns})) {}

  void all_samples() {
    std::vector<int64_t> samples;
    for (int64_t i = 0; i < inputs_.view("train.examples").shape.at(0); ++i) samples.push_back(i);
    run("train.", samples);
  }

  /// The first that has a picture.
  void one_sample() {
    if (!golden_.expected.tensors.contains("train1.loss")) return;
    const std::vector<int64_t> indicators = integers_of(inputs_.view("train.indicators"));
    run("train1.", {std::find(indicators.begin(), indicators.end(), 1) - indicators.begin()});
  }

 private:
  void run(const std::string& prefix, const std::vector<int64_t>& samples) {
    const LavinBatch batch = lavin_batch(inputs_, "train.", samples);
    const Tensor class_tokens = published_class_tokens(model_->vision->tower, batch.pixels);
    floats(prefix + "clip_cls", class_tokens);
    floats(prefix + "image_tokens", model_->vision->projector(class_tokens.flatten(0, 1)));
    const tune::TrainingRows rows = published_rows(*model_, batch, class_tokens, model_->plan);
    floats(prefix + "embeds", rows.embeddings);
    targets(prefix + "targets", rows, batch.columns);
    const auto each = [&](const Tensor& x) { return x.view({std::ssize(samples), -1, x.size(1)}); };
    const Tensor loss = mean_loss(*model_, rows, [&](const routing::LayerReport& report) {
      head(fmt::format("{}layer{}.first24", prefix, report.layer), each(report.hidden));
      if (report.layer + 1 == model_->facts.layers)
        head(prefix + "logits.first12", each(model_->decoder.logits(report.hidden)));
    });
    floats(prefix + "loss", loss);
    loss.backward();
    gradients(prefix + "grad.");
  }

  /// Stored without those of each sequence's last row; 0 if a row has nothing to learn.
  void targets(const std::string& name, const tune::TrainingRows& rows, int64_t columns) {
    std::vector<int64_t> flat;
    for (size_t i = 0; i < rows.targets.size(); ++i) {
      if ((static_cast<int64_t>(i) + 1) % columns == 0) continue;
      flat.push_back(rows.targets[i] == text::kIgnored ? 0 : rows.targets[i]);
    }
    check_.integers(name, integers_of(golden_.expected.tensors.at(name)), flat);
  }

  /// Of each weight that learns, and of no other: an adapter that did not run has none.
  void gradients(const std::string& prefix) {
    int64_t compared = 0;
    for (const tune::Parameter& parameter : tune::learning_parameters(*model_)) {
      const std::string name = prefix + published(parameter.name);
      Tensor leaf = parameter.values;
      const auto expected = golden_.expected.tensors.find(name);
      if (expected == golden_.expected.tensors.end()) {
        if (leaf.grad().defined() && leaf.grad().abs().max().item<double>() > 0)
          check_.fault(name + " is not in the case");
      } else if (!leaf.grad().defined()) {
        check_.fault(name + " is not there");
      } else {
        const double share = golden_.tolerances.of({"grads"}).relative;
        check_.floats(name, expected->second, values_of(leaf.grad()), of_largest(expected->second, share));
        ++compared;
      }
      leaf.mutable_grad().reset();
    }
    const auto& tensors = golden_.expected.tensors;
    const auto wanted = std::count_if(tensors.begin(), tensors.end(),
                                      [&](const auto& entry) { return entry.first.starts_with(prefix); });
    check_.integers(prefix + ": weights that learn", {wanted}, {compared});
  }

  void floats(const std::string& name, const Tensor& actual) {
    const io::TensorView& expected = golden_.expected.tensors.at(name);
    check_.floats(name, expected, values_of(actual.detach()),
                  of_largest(expected, golden_.tolerances.of({"values"}).relative));
  }
  /// The first rows of each sequence, as many as the case has.  x: [samples, rows, width]
  void head(const std::string& name, const Tensor& x) {
    floats(name, x.narrow(1, 0, golden_.expected.tensors.at(name).shape.at(1)));
  }

  const Case& golden_;
  Check& check_;
  TensorFile inputs_;
  LavinFolderOfCase folder_;
  std::unique_ptr<models::Model> model_;
};

}  // namespace

void check_lavin_training(const Case& golden, Check& check) {
  LavinTraining training(golden, check);
  training.all_samples();
  training.one_sample();
}

}  // namespace lithe::golden

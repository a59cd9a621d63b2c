#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "checkpoints/read/meter.h"
#include "golden/cases.h"
#include "golden/device.h"
#include "golden/meter_case.h"
#include "golden/sample_run.h"
#include "golden/tensors.h"
#include "image/decode.h"
#include "models/meter/pixels.h"
#include "tune/meter_loss.h"
#include "tune/meter_trainer.h"

namespace lithe::golden {
namespace {

namespace fs = std::filesystem;
using at::Tensor;
using models::Pair;
using models::TextIds;

Tensor labels_of(const std::vector<int64_t>& labels) {
  return at::tensor(at::ArrayRef<int64_t>(labels), at::kLong);
}

/// A key's bias moves no softmax, so its gradient is what rounding leaves of 0.
constexpr double kRounding = 1e-6;

/// Text i with picture i.
std::vector<Pair> pairs_of(size_t count, int64_t type = 1) {
  std::vector<Pair> pairs;
  for (size_t i = 0; i < count; ++i) pairs.push_back({i, i, type});
  return pairs;
}

/// One checkpoint file of a case, and everything that the case says of it.
class MeterRun {
 public:
  MeterRun(const Case& golden, const fs::path& checkpoint, Check& check)
      : golden_(golden),
        check_(check),
        inputs_(golden.folder / "inputs/inputs.safetensors"),
        meter_(models::open_meter(checkpoint, {.device = device()}, meter_settings_of(golden.json))) {
    no_skip_.name = "no skip";
  }

  void run() {
    const at::NoGradGuard no_gradient;
    encoders();
    vqa();
    nlvr2();
    matching();
    retrieval();
    entailment();
    masked();
    pictures();
  }

 private:
  bool has(const std::string& name) const { return golden_.expected.tensors.contains(name); }

  void compare(const std::string& name, const Tensor& actual) {
    check_.floats(name, golden_.expected.tensors.at(name), values_of(actual.detach()),
                  golden_.tolerances.of({"values"}));
  }

  models::TextRows texts(const std::string& ids = "text_ids") const {
    return meter_->read(meter_texts(inputs_, ids, "text_masks"));
  }
  Tensor seen(const std::string& name = "image") const { return meter_->look(inputs_[name]); }
  size_t samples() const { return static_cast<size_t>(inputs_.view("text_ids").shape.at(0)); }

  void encoders() {
    compare("vqa.text_encoder", meter_->text_encoder.forward(meter_texts(inputs_, "text_ids", "text_masks")).hidden);
    const Tensor features = meter_->tower.features(inputs_["image"]);
    compare("vqa.vit", meter_->tower_norm(features.flatten(0, 1)));
  }

  Tensor vqa_targets() const {
    return tune::soft_targets(meter_answers(golden_.json, samples()), meter_->heads.config.vqa);
  }

  void vqa() {
    compare("vqa.targets", vqa_targets());
    const models::FusedRows fused = meter_->fuse(texts(), seen(), pairs_of(samples()), nullptr,
                                                 [this](int64_t layer, const Tensor& text, const Tensor& image) {
                                                   compare(fmt::format("vqa.text_layer{}", layer), text);
                                                   compare(fmt::format("vqa.image_layer{}", layer), image);
                                                 });
    compare("infer.cls_feats", fused.pooled);
    const plan::Plan poolers = meter_->streams.for_poolers(meter_->plan);
    compare("infer.cls_feats", meter_->fuse(texts(), seen(), pairs_of(samples()), &poolers).pooled);
    compare("infer.text_feats", fused.text.hidden);
    answers("vqa", fused.pooled);
    if (has("vqa_published_flags.logits")) {
      const plan::Plan plan = plan::without_meter_sites(golden_.json.at("skip").get<std::vector<int64_t>>(),
                                                        meter_->streams.config.layers, plan::MeterFlags::published);
      answers("vqa_published_flags", meter_->fuse(texts(), seen(), pairs_of(samples()), &plan).pooled);
    }
    if (has("vqa_no_skip.logits"))
      answers("vqa_no_skip", meter_->fuse(texts(), seen(), pairs_of(samples()), &no_skip_).pooled);
  }

  void answers(const std::string& name, const Tensor& pooled) {
    const Tensor logits = (*meter_->heads.vqa)(pooled);
    compare(name + ".logits", logits);
    compare(name + ".loss", tune::soft_label_loss(logits, vqa_targets()));
  }

  void nlvr2() {
    const models::TextRows read = texts();
    const Tensor first = meter_->fuse(read, seen(), pairs_of(samples(), 1)).pooled,
                 second = meter_->fuse(read, seen("image_second"), pairs_of(samples(), 2)).pooled;
    classes("nlvr2", (*meter_->heads.nlvr2)(at::cat({first, second}, 1)),
            golden_.json.at("nlvr2_answers").get<std::vector<int64_t>>());
  }

  void classes(const std::string& name, const Tensor& logits, const std::vector<int64_t>& labels) {
    compare(name + ".logits", logits);
    compare(name + ".loss", tune::class_loss(logits, labels_of(labels)));
  }

  /// Label 0: the second picture stands for the first.
  void matching() {
    std::vector<int64_t> labels;
    for (const float label : golden_.expected.tensors.at("itm.labels").values<float>())
      labels.push_back(std::lround(label));
    std::vector<Pair> pairs = pairs_of(samples());
    for (size_t i = 0; i < samples(); ++i)
      if (labels.at(i) == 0) pairs[i].image += samples();
    const Tensor both = at::cat({seen(), seen("image_second")});
    classes("itm", (*meter_->heads.itm)(meter_->fuse(texts(), both, pairs).pooled), labels);
  }

  /// Of each picture, its own text first and then the false ones.
  void retrieval() {
    const size_t wrong = static_cast<size_t>(inputs_.view("false_text_ids").shape.at(0)), count = samples();
    std::vector<TextIds> all = meter_texts(inputs_, "text_ids", "text_masks");
    for (TextIds& text : meter_texts(inputs_, "false_text_ids")) all.push_back(std::move(text));
    std::vector<Pair> pairs;
    for (size_t i = 0; i < count; ++i)
      for (size_t j = 0; j <= wrong; ++j) pairs.push_back({i + j * count, i});
    const models::FusedRows fused = meter_->fuse(meter_->read(all), seen(), pairs);
    const Tensor scores = meter_->heads.ranking(fused.pooled).view({static_cast<int64_t>(count), -1});
    compare("irtr.scores", scores);
    compare("irtr.loss", tune::class_loss(scores, labels_of(std::vector<int64_t>(count, 0))));
  }

  void entailment() {
    classes("snli", (*meter_->heads.snli)(meter_->fuse(texts(), seen(), pairs_of(samples())).pooled),
            golden_.json.at("snli_labels").get<std::vector<int64_t>>());
  }

  void masked() {
    const models::FusedRows fused = meter_->fuse(texts("mlm.text_ids"), seen(), pairs_of(samples()));
    classes("mlm", (*meter_->heads.mlm)(fused.text.hidden), integers_of(inputs_.view("mlm.text_labels")));
  }

  void pictures() {
    const image::Image picture = image::read_image(golden_.folder / "inputs/image.jpg");
    compare("pixels", models::meter_pixels(picture, meter_->tower.config.image.width));
    constexpr int64_t kLarge = 96, kStride = 5;
    compare("pixels96.strided",
            models::meter_pixels(picture, kLarge).slice(2, 0, kLarge, kStride).slice(3, 0, kLarge, kStride));
    compare("positional_embedding_doubled",
            models::resized_positions(meter_->tower.positions, 2 * meter_->tower.config.grid().width));
  }

  const Case& golden_;
  Check& check_;
  TensorFile inputs_;
  std::unique_ptr<models::Meter> meter_;
  plan::Plan no_skip_;
};

/// The loss of hidden tokens, as a trainer has it.
void check_masked_learning(const Case& golden, const fs::path& checkpoint, Check& check) {
  const std::unique_ptr<models::Meter> meter =
      models::open_meter(checkpoint, {.device = device(), .learns = [](const models::WeightName&) { return true; }},
                         meter_settings_of(golden.json));
  const TensorFile inputs(golden.folder / "inputs/inputs.safetensors");
  const std::vector<TextIds> texts = meter_texts(inputs, "mlm.text_ids", "text_masks");
  const std::vector<int64_t> labels = integers_of(inputs.view("mlm.text_labels"));
  const Tensor pictures = inputs["image"];  // [samples, 3, side, side]
  std::vector<tune::MeterSample> samples;
  for (size_t i = 0, first = 0; i < texts.size(); first += texts[i++].ids.size()) {
    const auto at = labels.begin() + static_cast<std::ptrdiff_t>(first);
    const image::PixelValues picture{.tiles = 1,
                                     .size = {pictures.size(3), pictures.size(2)},
                                     .values = values_of(pictures[static_cast<int64_t>(i)])};
    samples.push_back({.text = texts[i],
                       .pictures = {std::make_shared<const image::PixelValues>(picture)},
                       .hidden = {at, at + std::ssize(texts[i].ids)}});
  }
  tune::MeterTrainer trainer(*meter, models::MeterTask::mlm, meter->plan, {});
  check.near("mlm.loss of a trainer", golden.expected.tensors.at("mlm.loss").values<float>().front(),
             trainer.loss(samples), golden.tolerances.of({"values"}).absolute);
  const tune::MeterStep step = trainer.step(std::vector<tune::MeterBatch>{samples}, 0);
  check.near("mlm.loss of a step", trainer.loss(samples), step.loss, golden.tolerances.of({"values"}).absolute);
}

/// The loss of VQA and the gradients that the case has. `padded`: rows of padding run too, as published.
void check_learning(const Case& golden, const fs::path& checkpoint, bool padded, Check& check) {
  const std::unique_ptr<models::Meter> meter =
      models::open_meter(checkpoint, {.device = device(), .learns = [](const models::WeightName&) { return true; }},
                         meter_settings_of(golden.json));
  const TensorFile inputs(golden.folder / "inputs/inputs.safetensors");
  std::vector<TextIds> texts = meter_texts(inputs, "text_ids", "text_masks");
  if (!padded)
    for (TextIds& text : texts) {
      text.ids.resize(text.ids.size() - static_cast<size_t>(text.padding));
      text.padding = 0;
    }
  const Tensor pooled = meter->fuse(meter->read(texts), meter->look(inputs["image"]), pairs_of(texts.size())).pooled;
  const Tensor targets = tune::soft_targets(meter_answers(golden.json, texts.size()), meter->heads.config.vqa);
  const Tensor loss = tune::soft_label_loss((*meter->heads.vqa)(pooled), targets);
  check.floats("vqa.loss", golden.expected.tensors.at("vqa.loss"), values_of(loss.detach()),
               golden.tolerances.of({"values"}));
  loss.backward();
  std::map<std::string, Tensor> leaves = meter_leaves(*meter);
  for (const auto& [name, expected] : golden.expected.tensors) {
    constexpr std::string_view kPrefix = "vqa.grad.";
    if (!name.starts_with(kPrefix)) continue;
    const auto found = leaves.find(name.substr(kPrefix.size()));
    if (found == leaves.end() || !found->second.grad().defined()) {
      check.fault(name + " is of no weight that learnt");
      continue;
    }
    double largest = 0;  // the tolerance is a share of it
    for (const float value : expected.values<float>()) largest = std::max(largest, std::abs(double{value}));
    const Tolerance tolerance = name.ends_with("key.bias")
                                    ? Tolerance{kRounding * golden.tolerances.times()}
                                    : Tolerance{golden.tolerances.of({"grads"}).relative * largest};
    check.floats(name, expected, values_of(found->second.grad()), tolerance);
  }
}

}  // namespace

Json meter_settings_of(const Json& case_json) {
  const Json& config = case_json.at("config");
  Json settings{{"num_heads", config.at("heads")},
                {"text_num_heads", config.at("text_heads")},
                {"vit_num_heads", config.at("vit_heads")},
                {"image_size", config.at("res")},
                {"max_text_len", config.at("maxlen")}};
  if (case_json.contains("skip")) settings["eas"] = {{"skip", case_json.at("skip")}, {"flags", "right"}};
  return settings;
}

std::vector<TextIds> meter_texts(const TensorFile& inputs, const std::string& ids, const std::string& masks) {
  const std::vector<int64_t> all = integers_of(inputs.view(ids));
  const std::vector<int64_t> real =
      masks.empty() ? std::vector<int64_t>(all.size(), 1) : integers_of(inputs.view(masks));
  const auto length = static_cast<size_t>(inputs.view(ids).shape.back());
  std::vector<TextIds> texts;
  for (size_t first = 0; first < all.size(); first += length) {
    const auto at = static_cast<std::ptrdiff_t>(first), end = static_cast<std::ptrdiff_t>(first + length);
    texts.push_back({{all.begin() + at, all.begin() + end}, std::count(real.begin() + at, real.begin() + end, 0)});
  }
  return texts;
}

std::vector<tune::SoftLabels> meter_answers(const Json& case_json, size_t samples) {
  std::vector<tune::SoftLabels> answers(samples);
  for (size_t i = 0; i < samples; ++i) {
    const Json &labels = case_json.at("vqa_labels").at(i), &scores = case_json.at("vqa_scores").at(i);
    for (size_t j = 0; j < labels.size(); ++j)
      answers[i].emplace_back(labels.at(j).get<int64_t>(), scores.at(j).get<double>());
  }
  return answers;
}

std::map<std::string, Tensor> meter_leaves(models::Meter& meter) {
  std::map<std::string, Tensor> leaves;
  visit(meter, [&](const models::WeightSlot& slot) {
    if (auto* const* weight = std::get_if<nn::Weight*>(&slot.place)) {
      if (const auto values = (*weight)->learning()) leaves[models::meter_name(slot.name)] = *values;
    } else {
      leaves[models::meter_name(slot.name)] = *std::get<Tensor*>(slot.place);
    }
  });
  return leaves;
}

Check run_meter(const Case& golden) {
  Check all;
  for (const auto& file : fs::directory_iterator(golden.folder / "checkpoint")) {
    Check check(file.path().filename().string());
    MeterRun(golden, file.path(), check).run();
    check_learning(golden, file.path(), true, check);
    check_masked_learning(golden, file.path(), check);
    // The published means of PIAs count padding, so that only METER itself gives the same without it.
    if (golden.json.at("adapters").is_null()) check_learning(golden, file.path(), false, check);
    all.add(check);
  }
  return all;
}

}  // namespace lithe::golden

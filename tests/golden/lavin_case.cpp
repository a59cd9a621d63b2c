#include "golden/lavin_case.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "io/atomic_file.h"
#include "routing/executor.h"
#include "session/prompt_rows.h"
#include "text/labels.h"

namespace lithe::golden {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

/// Links what lies below `from`, of weights only the files of the form.
void link_tree(const fs::path& from, const fs::path& to, bool safetensors) {
  fs::create_directories(to);
  for (const auto& entry : fs::directory_iterator(from)) {
    const fs::path place = to / entry.path().filename();
    if (entry.is_directory()) {
      link_tree(entry.path(), place, safetensors);
      continue;
    }
    const std::string ending = entry.path().extension().string();
    const bool torch = ending == ".pth" || ending == ".pt";
    if (safetensors ? torch : ending == ".safetensors") continue;
    fs::create_symlink(fs::absolute(entry.path()), place);
  }
}

std::vector<int64_t> row_of(const std::vector<int64_t>& all, int64_t row, int64_t columns) {
  const auto begin = all.begin() + row * columns;
  return {begin, begin + columns};
}

}  // namespace

LavinFolderOfCase::LavinFolderOfCase(const fs::path& base, const fs::path& adapter, const Json& config, Form form,
                                     const Json& own) {
  const bool safetensors = form == Form::safetensors;
  for (const char* part : {"llama", "clip"}) link_tree(base / part, temp_.path() / part, safetensors);
  link_tree(adapter, temp_.path() / "adapter", safetensors);
  Json keys = own;
  keys["model_type"] = "lavin";
  // The heads of a tower are in no file.
  keys["vision_config"] = {{"num_attention_heads", config.at("clip").at("heads")}};
  keys["eas"] = {{"scale", config.at("adapter_scale")}, {"temperature", config.at("temperature")}};
  io::write_text_atomic(temp_.path() / "config.json", keys.dump());
  if (config.at("skip").empty()) return;
  const Json plan{{"format", "lithe-plan/1"}, {"name", "skip"}, {"method", "eas"}, {"layers", config.at("skip")}};
  io::write_text_atomic(temp_.path() / "plan.json", plan.dump());
}

fs::path lavin_base(const fs::path& case_folder) {
  for (const fs::path& place : {case_folder, case_folder / "../lavin", case_folder / "../../lavin"}) {
    if (fs::is_directory(place / "checkpoint/llama")) return place / "checkpoint";
  }
  fail(Fault::bad_file, case_folder.string(), ": neither here nor in the case lavin is a checkpoint of LLaMA");
}

LavinBatch lavin_batch(const TensorFile& inputs, const std::string& prefix, const std::vector<int64_t>& samples) {
  const std::string name = prefix + (inputs.has(prefix + "ids") ? "ids" : "examples");
  const int64_t columns = inputs.view(name).shape.at(1);
  const std::vector<int64_t> ids = integers_of(inputs.view(name)), labels = integers_of(inputs.view(prefix + "labels")),
                             indicators = integers_of(inputs.view(prefix + "indicators"));
  const std::vector<int64_t> with = integers_of(inputs.view("prefix_img")),
                             without = integers_of(inputs.view("prefix_nonimg"));
  LavinBatch batch{.columns = columns};
  std::vector<Tensor> pixels;
  for (const int64_t sample : samples) {
    const bool picture = indicators.at(static_cast<size_t>(sample)) != 0;
    std::vector<int64_t> head = picture ? with : without;
    if (picture) head.push_back(text::kImageId);
    std::vector<int64_t> own = row_of(ids, sample, columns), learnt = row_of(labels, sample, columns);
    own.insert(own.begin() + 1, head.begin(), head.end());
    learnt.insert(learnt.begin() + 1, head.size(), 0);
    batch.ids.push_back(std::move(own));
    batch.labels.push_back(std::move(learnt));
    batch.indicators.push_back(picture ? 1 : 0);
    pixels.push_back(inputs[prefix + "images"][sample]);
  }
  batch.pixels = at::stack(pixels);
  return batch;
}

Tensor published_class_tokens(const models::VisionTower& tower, const Tensor& pixels) {
  const routing::Site* first = tower.blocks.front().find(routing::Site::Kind::self);
  const int64_t samples = pixels.size(0), rows = tower.config.rows(), every = tower.config.class_tokens_every;
  if (samples == 1 || !first->adapter || !first->adapter->gate->each_row) return tower.features(pixels);
  models::VisionTower embedding = tower;
  embedding.blocks.clear();
  embedding.config.class_tokens_every = 0;
  embedding.config.keep_class_token = true;
  Tensor x = embedding.features(pixels).flatten(0, 1);  // [samples * rows, width]
  // A sample that takes a frozen gate takes that of sample 0.
  std::vector<std::vector<nn::LayerState>> states(static_cast<size_t>(samples),
                                                  std::vector<nn::LayerState>(tower.blocks.size()));
  routing::Batch batch;
  const std::vector<routing::RowKind> kinds(static_cast<size_t>(rows), routing::RowKind::vision);
  for (auto& layers : states) batch.add({.states = layers, .prompt_end = 0}, kinds);
  routing::Executor executor(batch, "vision_tower", static_cast<int64_t>(tower.blocks.size()));
  std::vector<Tensor> class_tokens;
  for (size_t layer = 0; layer < tower.blocks.size(); ++layer) {
    const routing::Site& site = *tower.blocks[layer].find(routing::Site::Kind::self);
    const Tensor gates = (*site.adapter->gate)(site.norm(x.narrow(0, 0, rows)));
    for (auto& layers : states) layers[layer].attention_gate = gates;
    x = executor.run(tower.blocks[layer], static_cast<int64_t>(layer), x);
    if ((static_cast<int64_t>(layer) + 1) % every == 0)
      class_tokens.push_back(x.view({samples, rows, -1}).select(1, 0));
  }
  return at::stack(class_tokens, 1);
}

tune::TrainingRows published_rows(const models::Model& model, const LavinBatch& batch, const Tensor& class_tokens,
                                  const plan::Plan& plan) {
  const Tensor pictures =
      model.vision->projector(class_tokens.flatten(0, 1)).view({class_tokens.size(0), class_tokens.size(1), -1});
  tune::TrainingRows rows;
  std::vector<Tensor> parts;
  for (size_t s = 0; s < batch.ids.size(); ++s) {
    std::vector<models::ImageRows> seen(static_cast<size_t>(batch.indicators[s]));
    for (models::ImageRows& picture : seen) {
      picture.rows = pictures[static_cast<int64_t>(s)];
      picture.kinds.assign(static_cast<size_t>(picture.rows.size(0)), routing::RowKind::vision);
    }
    const session::PromptRows prompt = session::merge(model, batch.ids[s], seen);
    const int64_t count = std::min(batch.columns, prompt.rows());
    std::vector<int64_t> labels(static_cast<size_t>(model.decoder.rows_before()), 0);
    for (size_t i = 0; i < batch.ids[s].size(); ++i) {
      const bool picture = batch.ids[s][i] == text::kImageId;
      labels.insert(labels.end(), picture ? static_cast<size_t>(pictures.size(1)) : 1,
                    picture ? 0 : batch.labels[s][i]);
    }
    rows.batch.add({.plan = &plan}, std::span(prompt.kinds).first(static_cast<size_t>(count)));
    parts.push_back(prompt.embeddings.narrow(0, 0, count));
    for (int64_t i = 1; i <= count; ++i) {
      const int64_t label = i < count ? labels.at(static_cast<size_t>(i)) : 0;
      rows.targets.push_back(label == 0 ? text::kIgnored : label);
    }
  }
  rows.embeddings = at::cat(parts);
  return rows;
}

Tolerance of_largest(const io::TensorView& expected, double share) {
  double largest = 0;
  for (const float value : expected.values<float>()) largest = std::max(largest, std::abs(double{value}));
  return {.absolute = share * largest};
}

}  // namespace lithe::golden

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "checkpoints/read/catalogue.h"
#include "checkpoints/read/meter.h"
#include "golden/cases.h"
#include "golden/device.h"
#include "golden/eas_samples.h"
#include "golden/lavin_case.h"
#include "golden/meter_case.h"
#include "plan/meter_sites.h"
#include "tune/meter_loss.h"
#include "tune/redundancy.h"

namespace lithe::golden {
namespace {

namespace fs = std::filesystem;
using tune::Draw;

/// What the flags of the published METER turn off for a draw.
std::vector<int64_t> published_sites(const Draw& draw, int64_t layers) {
  return plan::meter_sites_off(plan::without_meter_sites(draw, layers, plan::MeterFlags::published), layers);
}

/// A published search, replayed with its stored draws. What comes of them is ours: how many sites a step skips, when
/// draws are compared, which of them are distinct, the scores, the ranking.
class Replay {
 public:
  /// The loss of call `i` of the model, which skips these sites: of a training step, or of a comparison of draws.
  enum class Call { training, comparison };
  using LossOf = std::function<double(int64_t call, const Draw& draw, Call kind)>;

  /// `prefix`: of the tensors of one search, if the case has several.
  Replay(const Case& golden, const std::string& host, std::string prefix, Check& check)
      : golden_(golden),
        check_(check),
        prefix_(std::move(prefix)),
        host_(host),
        numbers_(golden.json.at("settings")),
        settings_(tune::redundancy_settings(host)),
        search_({.sites = of("final_scores").count(),
                 .skipped = numbers_.at("skipped").get<int64_t>(),
                 .warm_up = numbers_.value("warmup_steps", int64_t{0})},
                settings_) {}

  void run(const LossOf& loss_of) {
    const int64_t steps = numbers_.value("steps", numbers_.value("train_steps", int64_t{0}));
    std::vector<int64_t> skipped;
    for (int64_t step = 1; step <= steps; ++step) {
      search_.begin_step();  // draws by its own generator; the stored draws are those that count here
      skipped.push_back(search_.skipped_now());
      call(next_draw(), Call::training, loss_of);
      if (!search_.evaluation_due()) continue;
      std::vector<tune::JudgedDraw> judged;
      for (const Draw& draw : tune::distinct_draws(settings_.draws, [this] { return next_draw(); }))
        judged.push_back({draw, call(draw, Call::comparison, loss_of)});
      search_.learn(judged);
    }
    if (has("skipped_num_by_step"))
      check_.integers("skipped_num_by_step", integers_of(of("skipped_num_by_step")), skipped);
    check_.integers(prefix_ + "calls and draws", {of("call.loss").count(), of("draws").shape.at(0)}, {call_, draw_});
    scores("final_scores", 0);
    std::vector<int64_t> order = search_.ranking();  // stored ascending by score
    std::reverse(order.begin(), order.end());
    check_.integers(prefix_ + "final_order", integers_of(of("final_order")), order);
  }

 private:
  bool has(const std::string& name) const { return golden_.expected.tensors.contains(prefix_ + name); }
  const io::TensorView& of(const std::string& name) const { return golden_.expected.tensors.at(prefix_ + name); }

  Draw next_draw() {
    const std::vector<int64_t> all = integers_of(of("draws"));
    const auto columns = static_cast<size_t>(of("draws").shape.at(1)), first = static_cast<size_t>(draw_++) * columns;
    Draw draw;
    for (size_t i = first; i < first + columns; ++i) {
      if (all.at(i) >= 0) draw.push_back(all[i]);  // a short draw is padded with -1
    }
    std::sort(draw.begin(), draw.end());
    return draw;
  }

  /// The next call of the model skips these sites.  -> its loss
  double call(const Draw& draw, Call kind, const LossOf& loss_of) {
    const std::string name = fmt::format("{}call {}", prefix_, call_);
    const auto sites = static_cast<int64_t>(search_.scores().size());
    if (has("call.flags")) {
      std::vector<int64_t> flags(static_cast<size_t>(sites), 0);
      for (const int64_t site : host_ == "meter" ? published_sites(draw, sites / 4) : draw)
        flags.at(static_cast<size_t>(site)) = 1;
      const std::vector<int64_t> all = integers_of(of("call.flags"));
      check_.integers(name + ": flags", {all.begin() + call_ * sites, all.begin() + (call_ + 1) * sites}, flags);
    }
    scores("call.scores", call_);
    const double stored = of("call.loss").values<double>()[static_cast<size_t>(call_)],
                 loss = loss_of(call_, draw, kind);
    check_.near(name + ": loss", stored, loss, kLoss * std::max(1.0, std::abs(stored)));
    ++call_;
    return loss;
  }

  /// To the case's 1e-6, and to a small part of the largest score: those of METER are far below 1e-6.
  void scores(const std::string& name, int64_t row) {
    const size_t count = search_.scores().size();
    const auto stored = of(name).values<float>().subspan(static_cast<size_t>(row) * count, count);
    double largest = 0;
    for (const float score : stored) largest = std::max(largest, std::abs(double{score}));
    for (size_t i = 0; i < count; ++i) {
      check_.near(fmt::format("{}{}[{}, {}]", prefix_, name, row, i), stored[i], search_.scores()[i],
                  std::min(kScore, kScoreShare * largest));
    }
  }

  static constexpr double kLoss = 1e-5, kScore = 1e-6, kScoreShare = 5e-3;
  const Case& golden_;
  Check& check_;
  std::string prefix_, host_;
  const Json& numbers_;
  tune::RedundancySettings settings_;
  tune::Redundancy search_;
  int64_t call_ = 0, draw_ = 0;
};

/// The model that the search of LLaVA runs over: every layer holds its attention and the PIA in its place.
class SearchedModel {
 public:
  SearchedModel(const Case& golden, const fs::path& base) : inputs_(golden.folder / "inputs/inputs.safetensors") {
    for (const auto& file : fs::directory_iterator(base)) {
      if (file.path().extension() != ".bin")
        fs::create_symlink(fs::absolute(file), temp_.path() / file.path().filename());
    }
    fs::create_symlink(fs::absolute(golden.folder / "checkpoint/extra.safetensors"),
                       temp_.path() / "extra.safetensors");
    model_ = models::open_model(temp_.path(), {.device = device()});
    while (inputs_.has(fmt::format("batch{}.input_ids", batches_.size())))
      batches_.push_back(spliced(*model_, inputs_, fmt::format("batch{}.", batches_.size())));
  }

  /// The loss of batch `i`, counted round and round. A draw is a plan.
  double loss(int64_t i, const Draw& draw, Means means) const {
    plan::Plan plan;
    for (const int64_t layer : draw) plan.layers.push_back({.layer = layer, .self_attention = false});
    const EasSamples& samples = batches_.at(static_cast<size_t>(i) % batches_.size());
    return mean_loss(*model_, rows_of(samples, plan, means)).item<double>();
  }

 private:
  TensorFile inputs_;
  TempFolder temp_;
  std::unique_ptr<models::Model> model_;
  std::vector<EasSamples> batches_;
};

/// The model that the search of METER runs over, with the published flags.
class SearchedMeter {
 public:
  SearchedMeter(const Case& golden, const fs::path& base)
      : case_(read_json_file(base / "case.json")),
        inputs_(golden.folder / "inputs/inputs.safetensors"),
        meter_(models::open_meter(weights_in(base / "checkpoint"), {.device = device()}, meter_settings_of(case_))) {
    texts_ = meter_->read(meter_texts(inputs_, "text_ids", "text_masks"));
    images_ = meter_->look(inputs_["image"]);
    held_out_texts_ = meter_->read(meter_texts(inputs_, "val.text_ids"));
    held_out_images_ = meter_->look(inputs_["val.image"]);
  }

  /// Of VQA. Draws are compared on the held-out batch, whose answers are those of the training batch.
  double loss(const Draw& draw, bool compares) const {
    const plan::Plan plan = plan::without_meter_sites(draw, meter_->streams.config.layers, plan::MeterFlags::published);
    const at::Tensor& images = compares ? held_out_images_ : images_;
    const auto count = static_cast<size_t>(images.size(0));
    std::vector<models::Pair> pairs;
    for (size_t i = 0; i < count; ++i) pairs.push_back({i, i});
    const at::Tensor pooled = meter_->fuse(compares ? held_out_texts_ : texts_, images, pairs, &plan).pooled;
    const at::Tensor targets = tune::soft_targets(meter_answers(case_, count), meter_->heads.config.vqa);
    return tune::soft_label_loss((*meter_->heads.vqa)(pooled), targets).item<double>();
  }

 private:
  static fs::path weights_in(const fs::path& folder) {
    for (const auto& file : fs::directory_iterator(folder))
      if (file.path().extension() == ".safetensors") return file.path();
    fail(Fault::bad_file, folder.string(), ": holds no .safetensors file");
  }

  Json case_;
  TensorFile inputs_;
  std::unique_ptr<models::Meter> meter_;
  models::TextRows texts_, held_out_texts_;
  at::Tensor images_, held_out_images_;
};

/// LaVIN-EAS with the adapters that its search begins with, whose weights do not change: the losses as published, with
/// means over answer and padding.
class SearchedLavin {
 public:
  SearchedLavin(const Case& golden, const fs::path& adapter)
      : golden_(golden),
        inputs_(golden.folder / "inputs/inputs.safetensors"),
        folder_(lavin_base(golden.folder), adapter / "checkpoint/adapter",
                read_json_file(adapter / "case.json").at("config"), LavinFolderOfCase::Form::safetensors),
        model_(models::open_model(folder_.path(), {.weights = exact_storage(), .device = device()})) {}

  /// Training samples are taken in order, round and round.
  double loss(int64_t step, const Draw& draw) const {
    const auto size = golden_.json.at("settings").at("batch").get<int64_t>();
    const int64_t all = inputs_.view("train.ids").shape.at(0);
    std::vector<int64_t> samples;
    for (int64_t i = 0; i < size; ++i) samples.push_back((step * size + i) % all);
    return loss("train.", samples, draw);
  }
  double held_out_loss(int64_t comparison, const Draw& draw) const {
    const io::TensorView& chosen = golden_.expected.tensors.at("lr0.val_indices");
    const std::vector<int64_t> all = integers_of(chosen);
    const int64_t size = chosen.shape.at(1);
    return loss("val.", {all.begin() + comparison * size, all.begin() + (comparison + 1) * size}, draw);
  }

 private:
  double loss(const std::string& prefix, const std::vector<int64_t>& samples, const Draw& draw) const {
    plan::Plan plan;
    for (const int64_t layer : draw) plan.layers.push_back({.layer = layer, .self_attention = false});
    const LavinBatch batch = lavin_batch(inputs_, prefix, samples);
    const at::Tensor class_tokens = published_class_tokens(model_->vision->tower, batch.pixels);
    return mean_loss(*model_, published_rows(*model_, batch, class_tokens, plan)).item<double>();
  }

  const Case& golden_;
  TensorFile inputs_;
  LavinFolderOfCase folder_;
  std::unique_ptr<models::Model> model_;
};

double stored_loss(const Case& golden, const std::string& name, int64_t call) {
  return golden.expected.tensors.at(name).values<double>()[static_cast<size_t>(call)];
}

}  // namespace

Check run_eas_search(const Case& golden) {
  const c10::InferenceMode no_gradients;
  Check check;
  const std::string name = golden.json.at("case").get<std::string>(), host = name.substr(name.rfind('/') + 1);
  const fs::path base = golden.folder / "../../llava_eas/checkpoint";
  if (host == "llava" && fs::is_directory(base)) {
    // The published search compares draws on the training batch at hand, in evaluation: means over every row.
    const SearchedModel model(golden, base);
    const std::vector<int64_t> trains = integers_of(golden.expected.tensors.at("call.train_mode"));
    int64_t step = -1;
    Replay(golden, host, "", check).run([&](int64_t call, const Draw& draw, Replay::Call) {
      const bool training = trains.at(static_cast<size_t>(call)) != 0;
      step += training ? 1 : 0;
      return model.loss(step, draw, training ? Means::prompt : Means::all_rows);
    });
    return check;
  }
  const fs::path meter = golden.folder / "../../meter_eas";
  if (host == "meter" && fs::is_directory(meter)) {
    const SearchedMeter model(golden, meter);
    Replay(golden, host, "", check).run([&](int64_t, const Draw& draw, Replay::Call kind) {
      return model.loss(draw, kind == Replay::Call::comparison);
    });
    return check;
  }
  const fs::path adapter = golden.folder / "../../lavin_eas";
  const bool knows_lavin = host == "lavin" && fs::is_directory(adapter);
  if (knows_lavin) {
    const SearchedLavin model(golden, adapter);
    int64_t step = 0, comparison = 0;
    bool compared = false;
    Replay(golden, host, "lr0.", check).run([&](int64_t, const Draw& draw, Replay::Call kind) {
      if (kind == Replay::Call::training) comparison += compared ? 1 : 0;
      compared = kind == Replay::Call::comparison;
      return compared ? model.held_out_loss(comparison, draw) : model.loss(step++, draw);
    });
  }
  for (const std::string prefix : {"", "lr0.", "trained."}) {
    const std::string losses = prefix + "call.loss";
    if (!golden.expected.tensors.contains(losses) || (knows_lavin && prefix == "lr0.")) continue;
    Replay(golden, host, prefix, check).run([&](int64_t call, const Draw&, Replay::Call) {
      return stored_loss(golden, losses, call);
    });
  }
  check.skip(knows_lavin ? "losses of the run that trains, which are taken as stored"
                         : "losses, which are taken as stored");
  return check;
}

}  // namespace lithe::golden

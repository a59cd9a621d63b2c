#include "session/pair_session.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <deque>
#include <future>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "base/worker_pool.h"
#include "checkpoints/read/meter.h"
#include "models/meter/pixels.h"
#include "session/errors.h"
#include "session/finite.h"
#include "session/storage.h"

namespace lithe::session {
namespace {

using at::Tensor;
using models::Meter;
using models::Pair;

/// Rows of text and picture in one pass of the streams, and pictures in one of the tower, so that activations stay
/// small beside the weights.
constexpr int64_t kMostRows = 8192;
constexpr size_t kMostPictures = 8;

/// Pictures that a ranking holds as features at a time.
constexpr size_t kGalleryPart = 64;

std::vector<std::string> numbered(int64_t count) {
  std::vector<std::string> labels;
  for (int64_t i = 0; i < count; ++i) labels.push_back(std::to_string(i));
  return labels;
}

/// In the order that METER's data have.
std::vector<HeadInfo> heads_of(const Meter& meter) {
  const models::Heads& heads = meter.heads;
  std::vector<HeadInfo> infos;
  const bool has_names = !meter.config.answers.empty();
  if (heads.vqa) infos.push_back({"vqa", 1, has_names ? meter.config.answers : numbered(heads.config.vqa), !has_names});
  if (heads.nlvr2) infos.push_back({"nlvr2", 2, {"false", "true"}});
  if (heads.snli) infos.push_back({"snli", 1, {"contradiction", "neutral", "entailment"}});
  if (heads.itm) infos.push_back({"itm", 1, {"does not match", "matches"}});
  if (heads.itm || heads.rank) infos.push_back({"rank", 0, {"fit"}});
  return infos;
}

/// Pictures in order. A worker decodes, resizes and normalises those of the next pass while the tower runs.
class ComingPixels {
 public:
  ComingPixels(const Meter& meter, std::span<const image::Source> images) : meter_(meter), images_(images) {}

  /// The next `count` of them.  -> [count, 3, side, side]
  Tensor take(size_t count) {
    for (; begun_ < std::min(images_.size(), taken_ + count + kMostPictures); ++begun_) {
      coming_.push_back(worker_.begin([&meter = meter_, image = images_[begun_]] {
        return std::make_shared<const image::PixelValues>(meter.pixel_values(*image.decode()));
      }));
    }
    taken_ += count;
    std::vector<Tensor> pixels;
    for (; count > 0; --count) {
      pixels.push_back(models::pixel_tensor(coming_.front().get()));
      coming_.pop_front();
    }
    return at::cat(pixels);
  }

 private:
  const Meter& meter_;
  const std::span<const image::Source> images_;
  size_t begun_ = 0, taken_ = 0;
  std::deque<std::future<std::shared_ptr<const image::PixelValues>>> coming_;
  WorkerPool worker_{1};
};

/// [pictures, rows, hidden], some pictures at a time.
Tensor features_of(const Meter& meter, std::span<const image::Source> images) {
  ComingPixels pixels(meter, images);
  std::vector<Tensor> parts;
  for (size_t first = 0; first < images.size(); first += kMostPictures)
    parts.push_back(meter.look(pixels.take(std::min(kMostPictures, images.size() - first))));
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

/// Some texts at a time.
models::TextRows texts_of(const Meter& meter, std::span<const std::string> texts) {
  models::TextRows all{{}, {0}, {}};
  std::vector<Tensor> parts;
  for (size_t next = 0; next < texts.size();) {
    std::vector<models::TextIds> ids;
    for (int64_t rows = 0; next < texts.size() && (ids.empty() || rows < kMostRows); ++next) {
      ids.push_back(meter.encode(texts[next]));
      rows += static_cast<int64_t>(ids.back().ids.size());
    }
    models::TextRows read = meter.read(ids);
    const int64_t before = all.offsets.back();
    for (size_t i = 1; i < read.offsets.size(); ++i) all.offsets.push_back(before + read.offsets[i]);
    all.kinds.insert(all.kinds.end(), read.kinds.begin(), read.kinds.end());
    parts.push_back(std::move(read.hidden));
  }
  all.hidden = parts.size() == 1 ? parts.front() : at::cat(parts);
  return all;
}

/// The plan of a request as pooled_of() takes it; null: the model's own.
plan::Plan for_poolers(const Meter& meter, const plan::Plan* plan) {
  return meter.streams.for_poolers(plan ? *plan : meter.plan);
}

/// What the poolers give for pairs, some at a time. `plan`: of for_poolers().
Tensor pooled_of(const Meter& meter, const models::TextRows& texts, const Tensor& images, std::span<const Pair> pairs,
                 const plan::Plan& plan) {
  std::vector<Tensor> parts;
  for (size_t first = 0, end = 0; first < pairs.size(); first = end) {
    for (int64_t rows = 0; end < pairs.size(); ++end) {
      rows += images.size(1) + texts.offsets[pairs[end].text + 1] - texts.offsets[pairs[end].text];
      if (rows > kMostRows && end > first) break;
    }
    parts.push_back(meter.fuse(texts, images, pairs.subspan(first, end - first), &plan).pooled);
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

/// -> [questions, classes]
Tensor probabilities(const Meter& meter, const std::string& head, const Tensor& pooled) {
  const models::Heads& heads = meter.heads;
  if (head == "vqa") return at::sigmoid((*heads.vqa)(pooled));
  if (head == "nlvr2") return at::softmax((*heads.nlvr2)(pooled), 1);
  return at::softmax(head == "snli" ? (*heads.snli)(pooled) : (*heads.itm)(pooled), 1);
}

std::vector<float> values_of(const Meter& meter, const Tensor& x) {
  const Tensor host = x.to(at::kCPU, at::kFloat).contiguous();
  const float* const data = host.const_data_ptr<float>();
  std::vector<float> values(data, data + host.numel());
  require(all_finite(values), Fault::bad_file, meter.checkpoint.string(),
          ": the scores are not finite numbers; the weights are damaged, so fetch or export the model again");
  return values;
}

void check_pictures(const HeadInfo& head, std::span<const PairQuestion> questions) {
  for (const PairQuestion& question : questions)
    require(
        head.pictures == 0 ? !question.images.empty() : static_cast<int64_t>(question.images.size()) == head.pictures,
        Fault::bad_request, "the head ", head.name, " takes ",
        head.pictures == 0 ? std::string("one picture or more")
                           : concat(head.pictures, head.pictures == 1 ? " picture" : " pictures"),
        ", and ", question.images.size(), question.images.size() == 1 ? " was given" : " were given");
}

}  // namespace

bool PairSession::opens(const std::filesystem::path& path) {
  return models::is_meter(path);
}

PairSession PairSession::open(const std::filesystem::path& path, const OpenOptions& options) {
  require(options.mmproj.empty(), Fault::bad_request, path.string(),
          ": is a METER model, and an mmproj belongs to a GGUF model; leave it out");
  require(compute_named(options.compute) == ops::Compute::float32, Fault::bad_request,
          "the products of METER are computed in float32 only; leave --compute out");
  return PairSession(models::open_meter(path, {.lora = options.lora,
                                               .weights = storage_named(options.weights),
                                               .device = options.device,
                                               .progress = options.progress}));
}

PairSession::PairSession(std::unique_ptr<Meter> meter) : meter_(std::move(meter)), heads_(heads_of(*meter_)) {}
PairSession::PairSession(PairSession&&) noexcept = default;
PairSession& PairSession::operator=(PairSession&&) noexcept = default;
PairSession::~PairSession() = default;

const HeadInfo& PairSession::head(const std::string& name) const {
  std::string known;
  for (const HeadInfo& head : heads_) {
    if (name.empty() || head.name == name) return head;
    known += (known.empty() ? "" : ", ") + head.name;
  }
  fail(Fault::bad_request, meter_->name, ": has no head ", in_quotes(name), "; it has ",
       known.empty() ? "none" : known);
}

std::vector<std::vector<float>> PairSession::scores(const HeadInfo& head, std::span<const PairQuestion> questions,
                                                    const plan::Plan* plan) const {
  return naming_failures([&] {
    const c10::InferenceMode no_gradients;
    check_pictures(head, questions);
    std::vector<std::string> texts;
    std::vector<image::Source> images;
    for (const PairQuestion& question : questions) {
      texts.push_back(question.text);
      images.insert(images.end(), question.images.begin(), question.images.end());
    }
    std::vector<std::vector<float>> scores;
    if (questions.empty()) return scores;
    const models::TextRows read = texts_of(*meter_, texts);
    const Tensor seen = features_of(*meter_, images);
    std::vector<Pair> pairs;
    size_t next = 0;
    for (size_t i = 0; i < questions.size(); ++i)
      for (size_t j = 0; j < questions[i].images.size(); ++j)
        pairs.push_back({i, next++, head.name == "nlvr2" ? static_cast<int64_t>(j) + 1 : 1});
    Tensor pooled = pooled_of(*meter_, read, seen, pairs, for_poolers(*meter_, plan));
    if (head.pictures == 0) {
      const std::vector<float> fits = values_of(*meter_, meter_->heads.ranking(pooled));
      auto at = fits.begin();
      for (const PairQuestion& question : questions) {
        const auto end = at + static_cast<std::ptrdiff_t>(question.images.size());
        scores.emplace_back(at, end);
        at = end;
      }
      return scores;
    }
    pooled = pooled.view({static_cast<int64_t>(questions.size()), -1});  // both pictures of NLVR2 side by side
    const std::vector<float> all = values_of(*meter_, probabilities(*meter_, head.name, pooled));
    const auto classes = static_cast<std::ptrdiff_t>(all.size() / questions.size());
    for (auto at = all.begin(); at != all.end(); at += classes) scores.emplace_back(at, at + classes);
    return scores;
  });
}

std::vector<float> PairSession::ranking(std::span<const std::string> texts, std::span<const image::Source> images,
                                        const plan::Plan* plan, const std::function<void(int64_t)>& done) const {
  return naming_failures([&] {
    const c10::InferenceMode no_gradients;
    std::vector<float> table;
    if (texts.empty() || images.empty()) return table;
    const plan::Plan poolers = for_poolers(*meter_, plan);
    const models::TextRows read = texts_of(*meter_, texts);
    for (size_t first = 0; first < images.size(); first += kGalleryPart) {
      const size_t count = std::min(kGalleryPart, images.size() - first);
      const Tensor seen = features_of(*meter_, images.subspan(first, count));
      for (size_t image = 0; image < count; ++image) {
        std::vector<Pair> pairs;
        for (size_t text = 0; text < texts.size(); ++text) pairs.push_back({text, image});
        const Tensor pooled = pooled_of(*meter_, read, seen, pairs, poolers);
        const std::vector<float> row = values_of(*meter_, meter_->heads.ranking(pooled));
        table.insert(table.end(), row.begin(), row.end());
        if (done) done(static_cast<int64_t>(first + image) + 1);
      }
    }
    return table;
  });
}

const plan::ModelFacts& PairSession::facts() const {
  return meter_->facts;
}
const plan::Plan& PairSession::plan() const {
  return meter_->plan;
}
const std::vector<std::string>& PairSession::notes() const {
  return meter_->notes;
}
int64_t PairSession::weight_bytes() const {
  return meter_->loaded.bytes;
}

plan::MeterShape PairSession::shape() const {
  const models::TextEncoderConfig& text = meter_->text_encoder.config;
  const models::VisionTowerConfig& tower = meter_->tower.config;
  const models::StreamsConfig& streams = meter_->streams.config;
  plan::MeterShape shape{.name = meter_->name,
                         .text = {text.layers, text.layer.width, text.layer.mlp},
                         .tower = {tower.layers_run, tower.width, tower.mlp},
                         .stream = {streams.layers, streams.layer.width, streams.layer.mlp},
                         .vocab = text.vocab,
                         .positions = text.positions,
                         .patch = tower.patch_px,
                         .channels = tower.channels,
                         .patches = tower.patches(),
                         .answers = meter_->heads.config.vqa};
  if (streams.layer.rep) shape.rep_rank = streams.layer.rep->rank;
  if (streams.layer.pia) shape.pia_rank = streams.layer.pia->rank;
  if (streams.layer.pia) shape.groups = streams.layer.pia->groups;
  return shape;
}

}  // namespace lithe::session

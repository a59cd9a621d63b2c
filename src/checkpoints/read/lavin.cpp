// LaVIN (luogen1996/LaVIN, arXiv 2305.15023) and LaVIN with EAS (DoubtedSteam/EAS): LLaMA reads six class tokens of
// CLIP after a modality token, through adapters whose gates read that token, or with EAS the prompt.
#include <ATen/ops/empty.h>
#include <c10/core/Device.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/config.h"
#include "checkpoints/read/family.h"
#include "checkpoints/read/lavin_folder.h"
#include "checkpoints/read/layouts.h"
#include "checkpoints/read/tied_head.h"
#include "io/hub_cache.h"
#include "models/parts/noise.h"
#include "plan/facts.h"
#include "plan/parse.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kClassTokensEvery = 4;  // blocks
constexpr int64_t kProjectorWidth = 128;  // of the published adapters

bool holds_any_pia(const EasLayers& eas) {
  return std::any_of(eas.begin(), eas.end(), [](const auto& entry) { return entry.second.pia.has_value(); });
}

bool holds_both_everywhere(const DecoderConfig& decoder) {
  return std::ssize(decoder.eas) == decoder.layers &&
         std::all_of(decoder.eas.begin(), decoder.eas.end(),
                     [](const auto& entry) { return entry.second.holds_both(); });
}

/// "pia_mean": of rows after the prompt, over the prompt, or as the published code decodes.
void read_mean(const JsonView& config, EasLayers& eas) {
  const std::string mean = config.text("pia_mean", "prompt");
  require(mean == "prompt" || mean == "published", Fault::bad_file, config.source(), ": 'pia_mean' is ",
          in_quotes(mean), "; known are prompt and published");
  for (auto& [layer, made] : eas) {
    if (made.pia) made.pia->freezes_mean = mean == "prompt";
  }
}

void read_gates(GateRows rows, EasLayers& eas) {
  for (auto& [layer, made] : eas) {
    if (made.adapter) made.adapter->gate_rows = rows;
    if (made.pia) made.pia->gate_rows = rows;
  }
}

/// LaVIN's transforms: the exact size by a bicubic filter, and ImageNet's mean and deviation, which CLIP's are not.
image::PreprocessConfig preprocessing(const VisionTowerConfig& tower) {
  image::PreprocessConfig config;
  config.dialect = image::Dialect::original;
  config.aspect = image::Aspect::squash;
  config.do_centre_crop = false;
  config.exact_size = config.crop = tower.image;
  config.rescale_factor = 1.0 / 255;
  config.mean = {0.485, 0.456, 0.406};
  config.deviation = {0.229, 0.224, 0.225};
  return config;
}

/// Projector and modality rows that no file has yet: as the published code begins.
void fill_untrained(Model& model, const LoadOptions& options) {
  uint64_t seed = 0;
  const auto fill = [&](const WeightSlot& slot) {
    if (held_at(slot.place).defined()) return;
    at::Tensor values = at::empty(slot.shape, at::kFloat);
    const double out = static_cast<double>(slot.shape.front()), in = static_cast<double>(slot.shape.back());
    const bool is_bias = slot.name.kind == Kind::bias, is_modality = slot.name.role == Role::modality;
    // Xavier's bound; the modality rows have the deviation of a normal distribution.
    const double bound = is_bias ? 0 : is_modality ? std::sqrt(3.0) : std::sqrt(6.0 / (in + out));
    fill_with_noise(values, static_cast<float>(bound), seed += kNextSeed);
    values = values.to(at::Device(options.device));
    if (options.learns && options.learns(slot.name)) values.set_requires_grad(true);
    model.loaded.bytes += static_cast<int64_t>(values.nbytes());
    put(slot.place, values);
  };
  visit(model, fill);
}

/// Every layer holds both: LaVIN-EAS publishes adapters for every layer, and no list of the skipped ones. In a model as
/// deep as the published one, the published attentions are skipped.
void choose_published_plan(Model& model) {
  const bool published = model.decoder.config.layers == plan::shape_named("lavin-7b").layers;
  model.plan = published ? plan::load_plan("eas-12", model.facts) : plan::Plan{.name = "dense"};
  model.notes.push_back(
      concat(model.folder.string(), ": no plan.json says which attentions the adapter skips, so ",
             published ? "those of the published LaVIN-EAS are assumed (plan eas-12)" : "none is skipped",
             "; give --plan '{\"method\": \"eas\", \"layers\": [..]}', or put a plan.json into the folder"));
}

/// The plan of a folder without plan.json: every PIA runs, unless every layer holds its attention too.
void choose_plan(Model& model) {
  if (holds_both_everywhere(model.decoder.config)) return choose_published_plan(model);
  plan::Plan plan{.name = "dense"};
  bool chosen = false;  // of layers that hold both, which one runs
  for (const auto& [layer, eas] : model.decoder.config.eas) {
    if (!eas.attention || eas.pia) plan.layers.push_back({.layer = layer, .self_attention = false});
    chosen = chosen || eas.holds_both();
  }
  if (!plan.layers.empty()) plan.name = "eas";
  model.plan = plan;
  if (chosen)
    model.notes.push_back(concat(model.folder.string(), ": no plan.json says which attentions the adapter skips, so ",
                                 "every PIA runs in place of its attention"));
}

/// One LaVIN folder on its way to a model.
class LavinReader {
 public:
  explicit LavinReader(const Source& source)
      : source_(source),
        folder_(source.folder, source.config.json()),
        config_(folder_.config()),
        loader_(source.options, asks_for_tied_head(JsonView(config_, source.config.source()))),
        checkpoint_(loader_.adopt(folder_.checkpoint())),
        layout_(llava_hf_layout(&checkpoint_)),
        model_(std::make_unique<Model>()) {
    model_->name = io::name_of_folder(source.folder);
    model_->family = "lavin";
    model_->folder = source.folder;
  }

  std::unique_ptr<Model> read() {
    const JsonView config(config_, source_.config.source());
    shape_decoder(config);
    shape_vision(config);
    load();
    ask_as_published();
    complete(*model_, source_, std::nullopt);
    read_tokenizer();
    if (source_.plan_file().empty()) choose_plan(*model_);
    return std::move(model_);
  }

 private:
  bool trained() const {
    return checkpoint_.contains(name_in(layout_, WeightName{.part = Part::decoder, .role = Role::modality}));
  }

  void shape_decoder(const JsonView& config) {
    const JsonView text = config.object("text_config");
    DecoderConfig decoder = read_decoder_config(text, text.text("model_type", "llama"));
    decoder.modality = true;
    decoder.repeats_place = config.boolean("repeats_place", true);
    if (!source_.plan_file().empty()) find_routers(checkpoint_, layout_, decoder);
    decoder.tied_embeddings = ties_head(config, checkpoint_, layout_) && !loader_.adapts_head();
    EasPart part = decoder_part(loader_, checkpoint_, layout_, decoder.layers);
    part.all_gates_have_bias = true;
    decoder.eas = read_eas(config, part);
    of_prompt_ = config.boolean("gates_read_prompt", holds_any_pia(decoder.eas));
    read_gates(of_prompt_ ? GateRows::after_first : GateRows::first, decoder.eas);
    read_mean(config, decoder.eas);
    model_->decoder = shaped_decoder(decoder);
  }

  void shape_vision(const JsonView& config) {
    VisionTowerConfig tower = read_tower_config(config.object("vision_config"), -1);
    require(tower.class_token && tower.layers >= kClassTokensEvery, Fault::bad_file, config.source(),
            ": the vision tower must have a class token and at least ", kClassTokensEvery, " layers");
    tower.class_tokens_every = kClassTokensEvery;
    const TowerFiles files = tower_files();
    EasPart part = tower_part(files, tower.layers_run);
    part.all_gates_have_bias = true;
    tower.eas = read_eas(config, part);
    read_gates(of_prompt_ ? GateRows::after_first : GateRows::each, tower.eas);
    Vision& vision = model_->vision.emplace();
    vision.tower = shaped_tower(tower);
    vision.preprocess = preprocessing(tower);
    const io::TensorView* first = checkpoint_.find(layout_.projector + "linear_1.weight");
    const int64_t width = first && !first->shape.empty() ? first->shape.front() : kProjectorWidth;
    vision.projector =
        shaped_projector({tower.width, width, model_->decoder.config.hidden}, true, ops::Activation::silu);
  }

  TowerFiles tower_files() const { return {{{&checkpoint_, layout_.tower}}}; }

  void load() {
    Decoder& decoder = model_->decoder;
    visit(decoder, [&](const WeightSlot& slot) {
      if (slot.name.role != Role::modality || trained()) loader_.take(checkpoint_, name_in(layout_, slot.name), slot);
    });
    if (decoder.config.tied_embeddings)
      loader_.ignore(checkpoint_, name_in(layout_, WeightName{.part = Part::decoder, .role = Role::head}));
    take_tower(loader_, tower_files(), model_->vision->tower);
    if (trained()) take_projector(loader_, checkpoint_, model_->vision->projector, layout_);
    loader_.refuse_others(checkpoint_);
    model_->loaded = loader_.load();
    if (!trained()) {
      fill_untrained(*model_, source_.options);
      model_->notes.push_back(model_->folder.string() +
                              ": there is no adapter, so pictures mean nothing to the model until it is tuned");
    }
    tie(decoder);
  }

  void ask_as_published() {
    model_->prompting.conversation = "lavin";
    model_->prompting.dialect = text::Dialect::original;
  }

  void read_tokenizer() {
    Prompting& prompting = model_->prompting;
    if (prompting.tokenizer || folder_.tokenizer().empty()) return;
    prompting.tokenizer = text::Tokenizer::open(folder_.tokenizer(), prompting.dialect);
    prompting.eos_ids = read_eos_ids(*model_, source_.config);
  }

  const Source& source_;
  LavinFolder folder_;
  Json config_;
  WeightLoader loader_;
  const io::Checkpoint& checkpoint_;
  Layout layout_;
  std::unique_ptr<Model> model_;
  bool of_prompt_ = false;  // gates read the prompt after the modality token, as with EAS
};

}  // namespace

bool gates_read_prompt(const Model& model) {
  for (const EasLayers* const part : {&model.decoder.config.eas, &model.vision->tower.config.eas}) {
    for (const auto& [layer, eas] : *part) {
      for (const auto& shape : {eas.adapter, eas.pia})
        if (shape) return shape->gate_rows == GateRows::after_first;
    }
  }
  return false;
}

std::unique_ptr<Model> open_lavin(const Source& source) {
  require(source.options.lora.empty() || LavinFolder::open(source.folder).whole(), Fault::bad_request,
          source.folder.string(),
          ": holds LaVIN in parts, and LoRA goes over one folder; `lithe convert --to hf` joins ", "them");
  return LavinReader(source).read();
}

}  // namespace lithe::models

// METER (zdou0830/METER) and METER-EAS (DoubtedSteam/EAS): their own names, of PyTorch Lightning's .ckpt or
// safetensors.
#include "checkpoints/read/meter.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/upsample_bicubic2d.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/config.h"
#include "checkpoints/read/config_keys.h"
#include "checkpoints/read/weights.h"
#include "io/torch_settings.h"
#include "plan/meter_sites.h"
#include "plan/parse.h"
#include "plan/validate.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTower = "vit_model.visual.";
constexpr int64_t kMostText = 4096;

struct TowerSpelling {
  Role role;
  const char* text;
};
constexpr std::array<TowerSpelling, 5> kTowerNames{{{Role::class_embedding, "class_embedding"},
                                                    {Role::patches, "conv1.weight"},
                                                    {Role::positions, "positional_embedding"},
                                                    {Role::first_norm, "ln_pre"},
                                                    {Role::last_norm, "ln_post"}}};
constexpr std::array<TowerSpelling, 8> kTowerLayerNames{{{Role::norm1, "ln_1"},
                                                         {Role::norm2, "ln_2"},
                                                         {Role::query, "attn.q_proj"},
                                                         {Role::key, "attn.k_proj"},
                                                         {Role::value, "attn.v_proj"},
                                                         {Role::output, "attn.out_proj"},
                                                         {Role::up, "mlp.c_fc"},
                                                         {Role::down, "mlp.c_proj"}}};

bool is_bare(Role role) {
  return role == Role::class_embedding || role == Role::patches || role == Role::positions;
}

template <class Names>
std::string spelt(const Names& names, Role role) {
  const auto found = std::find_if(names.begin(), names.end(), [&](const auto& name) { return name.role == role; });
  require(found != names.end(), Fault::internal, "a weight of METER's tower has no name");
  return found->text;
}

std::string tower_name(const WeightName& name) {
  const std::string kind = name.kind == Kind::bias ? ".bias" : ".weight";
  if (!name.in_layer()) return kTower + spelt(kTowerNames, name.role) + (is_bare(name.role) ? "" : kind);
  return concat(kTower, "transformer.resblocks.", name.layer, ".", spelt(kTowerLayerNames, name.role), kind);
}

/// One more than the highest layer of the names "PREFIX0..", "PREFIX1..", so that what is missing in between is named.
int64_t count_layers(const io::Checkpoint& checkpoint, const std::string& prefix) {
  int64_t layers = 0;
  for (const std::string& name : checkpoint.names()) {
    int64_t layer = -1;
    if (!name.starts_with(prefix)) continue;
    const char* const begin = name.data() + prefix.size();
    const auto [end, code] = std::from_chars(begin, name.data() + name.size(), layer);
    if (code == std::errc() && end != begin && *end == '.' && layer < plan::kMaxLayers)
      layers = std::max(layers, layer + 1);
  }
  return layers;
}

/// Adds q, k and v of the tower as tensors of their own: views of the three thirds.
void split_projections(io::Checkpoint& checkpoint) {
  for (const std::string& name : checkpoint.names()) {
    for (const char* kind : {"weight", "bias"}) {
      const std::string fused = concat("attn.in_proj_", kind);
      if (!name.starts_with(kTower) || !name.ends_with(fused)) continue;
      const io::TensorView whole = checkpoint.at(name);
      if (whole.shape.empty() || whole.shape[0] % 3 != 0) continue;  // it is missing, then
      const std::string stem = name.substr(0, name.size() - fused.size());
      const size_t bytes = whole.bytes.size() / 3;
      for (size_t third = 0; third < 3; ++third) {
        io::TensorView part = whole;
        part.shape[0] /= 3;
        part.bytes = whole.bytes.subspan(third * bytes, bytes);
        checkpoint.put(concat(stem, "attn.", "qkv"[third], "_proj.", kind), part);
      }
    }
  }
}

/// Puts positions for pictures of another size in place of those that the file has.
void resize_positions(io::Checkpoint& checkpoint, int64_t side) {
  const std::string name = concat(kTower, "positional_embedding");
  const io::TensorView* const view = checkpoint.find(name);
  if (!view || view->shape.size() != 2 || view->shape[0] == side * side + 1) return;
  const Tensor resized = resized_positions(tensor_over(*view).to(at::kFloat), side).contiguous();
  const auto values = std::span(resized.const_data_ptr<float>(), static_cast<size_t>(resized.numel()));
  io::TensorView changed = io::tensor_of<float>({resized.size(0), resized.size(1)}, values);
  changed.file = view->file;
  checkpoint.put(name, std::move(changed));
}

/// Reads the sizes of the parts off the shapes of tensors, and the rest from the settings.
class MeterReader {
 public:
  MeterReader(const io::Checkpoint& checkpoint, const JsonView& settings)
      : checkpoint_(checkpoint), settings_(settings) {}

  TextEncoderConfig text_encoder() const {
    const std::string root = "text_transformer.";
    TextEncoderConfig config;
    config.layers = layers_of(Part::text_encoder);
    config.vocab = size(root + "embeddings.word_embeddings.weight", 0);
    config.positions = size(root + "embeddings.position_embeddings.weight", 0);
    config.token_types = size(root + "embeddings.token_type_embeddings.weight", 0);
    config.layer.width = size(root + "embeddings.word_embeddings.weight", 1);
    config.layer.mlp = size(root + "encoder.layer.0.intermediate.dense.weight", 0);
    config.layer.heads = heads("text_num_heads", config.layer.width);
    return config;
  }

  VisionTowerConfig tower() const {
    const std::string root = kTower;
    VisionTowerConfig config;
    config.layers = config.layers_run = layers_of(Part::tower);
    config.width = size(root + "conv1.weight", 0);
    config.channels = size(root + "conv1.weight", 1);
    require(config.channels == 3, Fault::bad_file, checkpoint_.path().string(), ": the tensor ",
            in_quotes(root + "conv1.weight"), " reads ", config.channels, " channels, and pictures have 3");
    config.patch_px = size(root + "conv1.weight", 2);
    config.mlp = size(root + "transformer.resblocks.0.mlp.c_fc.weight", 0);
    config.heads = heads("vit_num_heads", config.width);
    config.image.width = config.image.height = image_side();
    config.keep_class_token = true;
    return config;
  }

  /// Pixels of a picture: as the settings say, else as the table of positions has it.
  int64_t image_side() const {
    const int64_t rows = size(concat(kTower, "positional_embedding"), 0),
                  patch = size(concat(kTower, "conv1.weight"), 2);
    const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(rows - 1))));
    require(side > 0 && side * side == rows - 1, Fault::bad_file, checkpoint_.path().string(), ": the tower has ", rows,
            " positions, which are not those of a class token and a square");
    const int64_t pixels = size_in(settings_, "image_size", side * patch, kMaxImageSide);
    require(pixels >= patch, Fault::bad_file, settings_.source(), ": 'image_size' is ", pixels,
            ", less than a patch of ", patch);
    return pixels;
  }

  StreamsConfig streams() const {
    StreamsConfig config;
    config.layers = layers_of(Part::text_stream);
    config.text_width = size("cross_modal_text_transform.weight", 1);
    config.image_width = size("cross_modal_image_transform.weight", 1);
    config.token_types = size("token_type_embeddings.weight", 0);
    config.class_token = checkpoint_.contains("token4classifier");
    config.layer.width = size("cross_modal_text_transform.weight", 0);
    config.layer.mlp = size("cross_modal_text_layers.0.intermediate.dense.weight", 0);
    config.layer.heads = heads("num_heads", config.layer.width);
    config.layer.rep = adapter("attention.adapter");
    config.layer.pia = adapter("adapter_self_attn");
    return config;
  }

  HeadsConfig heads_config(const StreamsConfig& streams) const {
    HeadsConfig config{.hidden = streams.layer.width, .masked_eps = streams.layer.norm_eps};
    config.vqa = classes("vqa_classifier.3.weight");
    config.nlvr2 = classes("nlvr2_classifier.3.weight", 2);
    config.snli = classes("snli_classifier.3.weight", 3);
    config.itm = checkpoint_.contains("itm_score.fc.weight");
    config.rank = checkpoint_.contains("rank_output.weight");
    config.mlm = checkpoint_.contains("mlm_score.decoder.weight");
    config.vocab = classes("mlm_score.decoder.weight");
    return config;
  }

 private:
  int64_t size(const std::string& name, size_t axis) const {
    const io::TensorView& tensor = checkpoint_.at(name);
    require(axis < tensor.shape.size() && tensor.shape[axis] > 0, Fault::bad_file, checkpoint_.path().string(),
            ": the tensor ", in_quotes(name), " is ", io::text_of(tensor.shape), ", which METER's is not");
    return tensor.shape[axis];
  }

  int64_t classes(const std::string& name) const { return checkpoint_.contains(name) ? size(name, 0) : 0; }

  /// Of a head whose classes have fixed names.
  int64_t classes(const std::string& name, int64_t expected) const {
    const int64_t count = classes(name);
    require(count == 0 || count == expected, Fault::bad_file, checkpoint_.path().string(), ": the tensor ",
            in_quotes(name), " has ", count, " classes, expected the ", expected, " of its task; leave the head out");
    return count;
  }

  int64_t layers_of(Part part) const {
    const WeightName name{.part = part, .layer = 0, .role = Role::up};
    const std::string probe = meter_name(name), mark = ".0.";
    const int64_t layers = count_layers(checkpoint_, probe.substr(0, probe.find(mark) + 1));
    require(layers > 0, Fault::bad_file, checkpoint_.path().string(), ": has no tensor ", in_quotes(probe),
            "; METER with CLIP's ViT and RoBERTa is read");
    return layers;
  }

  /// Heads are 64 wide in everything published.
  int64_t heads(const char* key, int64_t width) const {
    const int64_t count = size_in(settings_, key, std::max<int64_t>(width / 64, 1), kMaxHeads);
    require(width % count == 0, Fault::bad_file, settings_.source(), ": '", key, "' is ", count,
            ", which does not divide the width ", width);
    return count;
  }

  std::optional<AdapterShape> adapter(const std::string& name) const {
    const std::string stem = concat("cross_modal_text_layers.0.", name, ".");
    if (!checkpoint_.contains(stem + "conv_B.weight")) return std::nullopt;
    AdapterShape shape;
    shape.rank = size(stem + "conv_C.weight", 0);
    const int64_t columns = size(stem + "conv_B.weight", 1), hidden = size(stem + "conv_B.weight", 0);
    shape.groups = std::max<int64_t>(shape.rank / columns, 1);
    require(shape.groups * columns == shape.rank && hidden % shape.groups == 0, Fault::bad_file,
            checkpoint_.path().string(), ": the adapter ", stem, "* has ", shape.rank, " rows in conv_C and ", columns,
            " columns in conv_B, which must divide them");
    if (settings_.has("eas")) shape.scale = adapter_scale(settings_.object("eas"), shape.scale);
    return shape;
  }

  const io::Checkpoint& checkpoint_;
  const JsonView& settings_;
};

/// Of CLIP beside the tower that METER runs: its text part, its projection, and what was split into q, k and v.
bool is_unused_clip(const io::Checkpoint& checkpoint, const std::string& name) {
  if (!name.starts_with("vit_model.")) return false;
  if (!name.starts_with(kTower) || name == concat(kTower, "proj")) return true;
  const size_t fused = name.find(".attn.in_proj_");
  if (fused == name.npos) return false;
  const std::string kind = name.substr(fused + std::string_view(".attn.in_proj_").size());
  return checkpoint.contains(concat(name.substr(0, fused), ".attn.q_proj.", kind));
}

/// What checkpoints carry and nothing here reads.
void ignore_unused(WeightLoader& loader, const io::Checkpoint& checkpoint) {
  for (const char* name : {"text_transformer.pooler.", "nas_gate", "skip_num"}) loader.ignore(checkpoint, name);
  for (const std::string& name : checkpoint.names()) {
    if (is_unused_clip(checkpoint, name)) loader.ignore(checkpoint, name);
    // METER's adapters have a second path and a gate that they do not use.
    const bool adapter = name.find("adapter") != name.npos;
    const bool unused = name.find(".conv_D.") != name.npos || name.find(".expert_weights.") != name.npos;
    if (adapter && unused) loader.ignore(checkpoint, name);
  }
}

plan::MeterFlags flags_of(const JsonView& eas) {
  const std::string name = eas.text("flags", "published");
  require(name == "published" || name == "right", Fault::bad_file, eas.source(), ": 'flags' is ", in_quotes(name),
          "; expected published or right");
  return name == "right" ? plan::MeterFlags::right : plan::MeterFlags::published;
}

std::vector<int64_t> numbers_in(const JsonView& eas, const char* key) {
  const Json& list = eas.json().at(key);
  const bool numbers = list.is_array() && std::all_of(list.begin(), list.end(),
                                                      [](const Json& number) { return number.is_number_integer(); });
  require(numbers, Fault::bad_file, eas.source(), ": '", key, "' must be a list of numbers of attentions");
  return list.get<std::vector<int64_t>>();
}

/// What a published search found: the k highest of its scores; of equals the last, as torch.sort has it.
std::optional<std::vector<int64_t>> searched_sites(const io::Checkpoint& checkpoint, int64_t sites) {
  const io::TensorView *scores = checkpoint.find("nas_gate"), *count = checkpoint.find("skip_num");
  if (!scores || !count) return std::nullopt;
  const std::string where = checkpoint.path().string();
  require(scores->count() == sites, Fault::bad_file, where, ": 'nas_gate' has ", scores->count(),
          " scores, expected one for each of the ", sites, " attentions");
  require(count->count() == 1, Fault::bad_file, where, ": 'skip_num' has ", count->count(), " values, expected 1");
  const Tensor values = tensor_over(*scores).to(at::kDouble).contiguous();
  const double* const score = values.const_data_ptr<double>();
  const double wanted = std::round(tensor_over(*count).to(at::kDouble).item<double>());
  require(wanted >= 0 && wanted <= static_cast<double>(sites), Fault::bad_file, where, ": 'skip_num' is ", wanted,
          ", expected a number from 0 to ", sites);
  for (int64_t i = 0; i < values.numel(); ++i)
    require(std::isfinite(score[i]), Fault::bad_file, where, ": 'nas_gate' holds a score that is not finite");
  std::vector<int64_t> order(static_cast<size_t>(values.numel()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return score[a] < score[b]; });
  order.erase(order.begin(), order.end() - static_cast<std::ptrdiff_t>(wanted));
  return order;
}

/// Notes it if nothing names the attentions that METER-EAS skips: a search chose them, and the weights hold PIA and
/// attention.
plan::Plan plan_of(const io::Checkpoint& checkpoint, const JsonView& settings, Meter& meter) {
  const int64_t layers = meter.streams.config.layers;
  if (fs::exists(meter.folder / "plan.json") && fs::is_directory(meter.checkpoint))
    return plan::load_plan((meter.folder / "plan.json").string(), meter.facts);
  if (settings.has("eas") && settings.object("eas").has("skip")) {
    const JsonView eas = settings.object("eas");
    return plan::without_meter_sites(numbers_in(eas, "skip"), layers, flags_of(eas));
  }
  const auto searched = searched_sites(checkpoint, 4 * layers);
  plan::Plan plan;
  if (searched) plan = plan::without_meter_sites(*searched, layers, plan::MeterFlags::published);
  if (plan.layers.empty() && meter.streams.config.layer.pia)
    meter.notes.push_back(concat(meter.checkpoint.string(),
                                 ": nothing says which attentions METER-EAS skips, so none is skipped; run `lithe "
                                 "convert`, and put a plan.json or \"eas\": {\"skip\": [..]} into the folder"));
  return plan;
}

/// "id2label", as transformers has it: {"0": "yes", ..}.
std::vector<std::string> answers_in(const JsonView& settings, int64_t classes) {
  if (!settings.has("id2label")) return {};
  const JsonView names = settings.object("id2label");
  std::vector<std::string> answers;
  for (int64_t i = 0; i < classes; ++i) answers.push_back(names.text(std::to_string(i).c_str()));
  return answers;
}

MeterConfig config_of(const JsonView& settings, const StreamsConfig& streams, const HeadsConfig& heads,
                      const fs::path& path) {
  MeterConfig config;
  config.answers = answers_in(settings, heads.vqa);
  config.max_text = size_in(settings, "max_text_len", config.max_text, kMostText);
  const bool published = !fs::is_directory(path);
  const std::string mean = settings.text("pia_mean", published ? "published" : "prompt");
  require(mean == "published" || mean == "prompt", Fault::bad_file, settings.source(), ": 'pia_mean' is ",
          in_quotes(mean), "; expected prompt or published");
  config.pads = streams.layer.pia && mean == "published";
  return config;
}

void take_everything(WeightLoader& loader, const io::Checkpoint& checkpoint, Meter& meter) {
  visit(meter, [&](const WeightSlot& slot) { loader.take(checkpoint, meter_name(slot.name), slot); });
  ignore_unused(loader, checkpoint);
  loader.refuse_others(checkpoint);
  meter.loaded = loader.load();
}

}  // namespace

std::string meter_name(const WeightName& name) {
  return name.part == Part::tower ? tower_name(name) : text_of(name);
}

Tensor resized_positions(const Tensor& positions, int64_t side) {
  const int64_t before = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(positions.size(0) - 1)))),
                width = positions.size(1);
  const Tensor grid = positions.narrow(0, 1, before * before).view({1, before, before, width}).permute({0, 3, 1, 2});
  const Tensor resized = at::upsample_bicubic2d(grid, at::IntArrayRef{side, side}, false);
  return at::cat({positions.narrow(0, 0, 1), resized.permute({0, 2, 3, 1}).reshape({side * side, width})});
}

bool is_meter(const fs::path& path) {
  std::error_code none;
  if (path.extension() == ".ckpt") return fs::is_regular_file(path, none);
  if (!fs::exists(path / "config.json", none)) return false;
  const Json json = read_config_file(path / "config.json");
  return json.is_object() && json.value("model_type", Json()) == kMeterType;
}

Json meter_settings(const fs::path& path, const Json& changes) {
  Json settings = Json::object();
  const bool folder = fs::is_directory(path);
  if (!folder && path.extension() != ".safetensors") settings = io::read_hyper_parameters(path);
  if (settings.contains("config") && settings["config"].is_object()) settings = Json(settings["config"]);
  if (folder) settings.update(read_config_file(path / "config.json"));
  settings.update(changes);
  return settings;
}

std::unique_ptr<Meter> open_meter(const fs::path& path, const LoadOptions& options, const Json& changes) {
  require(options.lora.empty(), Fault::bad_request, "LoRA over METER is not supported; leave out --lora");
  auto meter = std::make_unique<Meter>();
  const bool folder = fs::is_directory(path);
  meter->checkpoint = path;
  meter->folder = folder ? path : path.parent_path();
  meter->name = folder ? path.filename().string() : path.stem().string();
  const Json json = meter_settings(path, changes);
  const JsonView settings(json, (folder ? path / "config.json" : path).string());
  io::Checkpoint opened = io::Checkpoint::open(path);
  const MeterReader reader(opened, settings);
  const VisionTowerConfig tower = reader.tower();
  split_projections(opened);
  resize_positions(opened, tower.grid().width);
  meter->text_encoder = shaped_text_encoder(reader.text_encoder());
  meter->tower = shaped_tower(tower);
  meter->tower_norm = {nn::Norm::Kind::layer, Tensor(), Tensor(), tower.norm_eps};
  meter->streams = shaped_streams(reader.streams());
  meter->heads = shaped_heads(reader.heads_config(meter->streams.config));
  meter->config = config_of(settings, meter->streams.config, meter->heads.config, path);
  WeightLoader loader(options, false);
  const io::Checkpoint& checkpoint = loader.adopt(std::move(opened));
  take_everything(loader, checkpoint, *meter);
  meter->facts = facts_of(*meter);
  plan::check(meter->facts);
  meter->plan = plan_of(checkpoint, settings, *meter);
  plan::validate(meter->plan, meter->facts);
  if (fs::exists(meter->folder / "tokenizer.json")) meter->tokenizer = text::Tokenizer::open(meter->folder);
  return meter;
}

}  // namespace lithe::models

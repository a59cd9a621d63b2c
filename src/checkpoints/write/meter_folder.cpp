#include "checkpoints/write/meter_folder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/error.h"
#include "checkpoints/read/meter.h"
#include "io/atomic_file.h"
#include "io/checkpoint.h"
#include "io/new_folder.h"
#include "plan/parse.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

/// What opens the model again, as open_meter reads it.
Json config_json(const Meter& meter) {
  const TextEncoderConfig& text = meter.text_encoder.config;
  const StreamsConfig& streams = meter.streams.config;
  const VisionTowerConfig& tower = meter.tower.config;
  Json json{{"model_type", kMeterType},
            {"hidden_size", streams.layer.width},
            {"num_top_layer", streams.layers},
            {"num_heads", streams.layer.heads},
            {"text_num_heads", text.layer.heads},
            {"vit_num_heads", tower.heads},
            {"image_size", tower.image.width},
            {"patch_size", tower.patch_px},
            {"vocab_size", text.vocab},
            {"max_text_len", meter.config.max_text},
            {"pia_mean", meter.config.pads ? "published" : "prompt"}};
  for (const auto& shape : {streams.layer.rep, streams.layer.pia})  // the scale of both
    if (shape) json["eas"] = {{"scale", shape->scale}};
  for (size_t i = 0; i < meter.config.answers.size(); ++i)
    json["id2label"][std::to_string(i)] = meter.config.answers[i];
  return json;
}

void name_answers(Meter& meter, const std::vector<std::string>& answers) {
  require(meter.heads.vqa.has_value(), Fault::bad_request, meter.name,
          ": has no head vqa, whose answers could have names");
  require(std::ssize(answers) == meter.heads.config.vqa, Fault::bad_request, meter.name, ": its head vqa tells ",
          meter.heads.config.vqa, " answers apart, and ", answers.size(),
          " names were given; give all the data that it was trained with");
  const auto nameless = std::find(answers.begin(), answers.end(), "");
  require(nameless == answers.end(), Fault::bad_request, meter.name, ": answer ", nameless - answers.begin(),
          " of its head vqa has no name; give all of METER's Arrow files, or a complete list");
  meter.config.answers = answers;
}

using Made = std::map<std::string, MadeWeight>;

/// As adapters are stored: convolutions of width 1.
std::vector<int64_t> stored_shape(const WeightSlot& slot) {
  std::vector<int64_t> shape = slot.shape;
  if (slot.name.adapter != Adapter::none && shape.size() == 2) shape.push_back(1);
  return shape;
}

MadeWeight made_of(const io::Checkpoint& checkpoint, const std::string& name, std::vector<int64_t> shape,
                   std::function<Tensor()> make) {
  const io::TensorView* const view = checkpoint.find(name);
  at::ScalarType type = at::kFloat;
  if (view && view->dtype == io::Dtype::float16) type = at::kHalf;
  if (view && view->dtype == io::Dtype::bfloat16) type = at::kBFloat16;
  return {type, std::move(shape), std::move(make)};
}

/// The tower's queries, keys and values are one tensor in the file.
void fuse_projections(const io::Checkpoint& checkpoint, const char* kind, Made& made) {
  const std::string first = concat("attn.q_proj.", kind);
  std::vector<std::string> stems;
  for (const auto& [name, weight] : made)
    if (name.starts_with("vit_model.") && name.ends_with(first))
      stems.push_back(name.substr(0, name.size() - first.size()));
  for (const std::string& stem : stems) {
    std::vector<int64_t> shape = made.at(stem + first).shape;
    shape[0] *= 3;
    std::array<std::function<Tensor()>, 3> thirds;
    for (size_t i = 0; i < thirds.size(); ++i)
      thirds[i] = made.extract(concat(stem, "attn.", "qkv"[i], "_proj.", kind)).mapped().make;
    const std::string whole = concat(stem, "attn.in_proj_", kind);
    made[whole] = made_of(checkpoint, whole, std::move(shape), [thirds] {
      return at::cat({thirds[0](), thirds[1](), thirds[2]()});
    });
  }
}

/// What learned, in the type of the file; in float32 if the file lacks it.
Made learned_weights(const Meter& meter) {
  const io::Checkpoint checkpoint = io::Checkpoint::open(meter.checkpoint);
  Made made;
  visit(const_cast<Meter&>(meter), [&](const WeightSlot& slot) {
    const std::optional<Tensor> values = learning_at(slot.place);
    if (!values) return;
    std::vector<int64_t> shape = stored_shape(slot);
    made[meter_name(slot.name)] = made_of(checkpoint, meter_name(slot.name), shape,
                                          [values = *values, shape] { return values.to(at::kFloat).view(shape); });
  });
  fuse_projections(checkpoint, "weight", made);
  fuse_projections(checkpoint, "bias", made);
  return made;
}

}  // namespace

WrittenMeter write_meter(const Meter& meter, const plan::Plan& plan, MeterChanges changes, const fs::path& folder) {
  const io::Checkpoint checkpoint = io::Checkpoint::open(meter.checkpoint);
  Made& made = changes.made;
  WeightFile file(changes.refusals);
  for (const std::string& name : checkpoint.names()) {
    if (changes.drops && changes.drops(name)) continue;
    if (const auto changed = made.find(name); changed != made.end()) {
      file.make(name, std::move(changed->second));
      made.erase(changed);
    } else {
      file.copy(name, checkpoint.at(name));
    }
  }
  for (auto& [name, weight] : made) file.make(name, std::move(weight));
  const double rounding = file.write(folder / "model.safetensors");
  io::write_json_atomic(folder / "config.json", config_json(meter));
  Converted done{.tensors = file.tensors(), .bytes = file.bytes(), .files = 1};
  const bool was_chosen = changes.plan_is_chosen && meter.streams.config.layer.pia;
  if (!plan.layers.empty() || was_chosen) {
    io::write_json_atomic(folder / "plan.json", plan::to_json(plan));
    ++done.files;
  }
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}) {
    if (!fs::exists(meter.folder / name)) continue;
    io::copy_file(meter.folder / name, folder / name);
    ++done.files;
  }
  if (!fs::exists(folder / "tokenizer.json"))
    done.notes.emplace_back("there is no tokenizer.json to copy; put RoBERTa's into the new folder");
  return {std::move(done), rounding};
}

Converted convert_meter(const fs::path& from, const fs::path& to, const std::vector<std::string>& answers) {
  io::NewFolder folder(from, to);
  const std::unique_ptr<Meter> meter = open_meter(folder.source());
  if (!answers.empty()) name_answers(*meter, answers);
  Converted done = write_meter(*meter, meter->plan, {}, folder.part()).converted;
  folder.commit();
  return done;
}

void write_tuned_meter(const Meter& meter, const plan::Plan& plan, const fs::path& folder) {
  write_meter(meter, plan,
              {.made = learned_weights(meter),
               .drops = {},
               .refusals = {"; training went astray, so lower learning_rate", "; tune a model in float32"},
               .plan_is_chosen = true},
              folder);
}

}  // namespace lithe::models

#include "session/session.h"

#include "base/error.h"
#include "checkpoints/read/catalogue.h"
#include "models/facts.h"
#include "models/model.h"
#include "session/answer.h"
#include "session/prompt_rows.h"
#include "session/storage.h"

namespace lithe::session {

const char* name_of(StopReason reason) {
  switch (reason) {
    case StopReason::eos:
      return "eos";
    case StopReason::stop_string:
      return "stop";
    case StopReason::length:
      return "length";
    case StopReason::cancelled:
      return "cancelled";
  }
  return "";
}

Session Session::open(const std::filesystem::path& folder, const OpenOptions& options) {
  const Arithmetic arithmetic = arithmetic_of(options.kv, options.compute, options.device);
  Session session(models::open_model(folder, {.lora = options.lora,
                                              .mmproj = options.mmproj,
                                              .weights = storage_named(options.weights),
                                              .device = options.device,
                                              .progress = options.progress}));
  arithmetic.give_to(*session.model_);
  return session;
}

Session::Session(std::unique_ptr<models::Model> model) : model_(std::move(model)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Answer Session::answer(const Request& request, const AnswerOptions& options) const {
  return run_answer(*model_, request, options);
}

void Session::check_pictures(size_t count) const {
  require_room(*model_, static_cast<int64_t>(count) * least_rows(*model_));
}

SamplingPolicy Session::default_sampling() const {
  const models::GenerationDefaults& defaults = model_->prompting.generation;
  return {.temperature = defaults.sample ? defaults.temperature : 0.0,
          .top_k = defaults.top_k,
          .top_p = defaults.top_p,
          .min_p = defaults.min_p,
          .repetition_penalty = defaults.repetition_penalty};
}

image::DecodeOptions Session::decode_options() const {
  return model_->vision ? model_->vision->preprocess.decode_options() : image::DecodeOptions{};
}
const plan::ModelFacts& Session::facts() const {
  return model_->facts;
}
const plan::Plan& Session::plan() const {
  return model_->plan;
}
const std::vector<std::string>& Session::notes() const {
  return model_->notes;
}
const std::string& Session::family() const {
  return model_->family;
}
int64_t Session::weight_bytes() const {
  return model_->loaded.bytes;
}
plan::CostOptions Session::counting() const {
  const models::Decoder& decoder = model_->decoder;
  return {.kv_bytes_per_value = decoder.cached_number_bytes(), .kv_bytes_beside = ops::scale_bytes_of(decoder.cache)};
}

Json Session::describe() const {
  const models::DecoderConfig& decoder = model_->decoder.config;
  Json json;
  json["name"] = model_->name;
  json["family"] = model_->family;
  const auto told_in = [](Json& part) {
    return [&part](const char* key, int64_t value, int64_t) { part[key] = value; };
  };
  models::decoder_facts(decoder, model_->facts, told_in(json["decoder"]));
  json["decoder"]["max_positions"] = decoder.max_positions;
  if (decoder.window) json["decoder"]["sliding_window"] = *decoder.window;
  if (model_->vision) {
    const models::VisionTowerConfig& tower = model_->vision->tower.config;
    json["vision_tower"]["layers"] = tower.layers;
    models::tower_facts(tower, *model_->facts.tower, told_in(json["vision_tower"]));
    json["vision_tower"]["image_px"] = model_->facts.tower->image;
    json["vision_tower"]["patches"] = tower.patches();
  }
  for (const std::filesystem::path& file : model_->gguf_files) json["gguf_files"].push_back(file.string());
  json["weights"] = {{"type", models::main_storage(*model_)}, {"bytes", model_->loaded.bytes}};
  json["plan"] = model_->plan.name;
  if (!model_->notes.empty()) json["notes"] = model_->notes;
  if (!model_->loaded.lora) return json;
  const models::LoraUse& lora = *model_->loaded.lora;
  json["lora"] = {{"folder", lora.folder.string()},
                  {"products", lora.products},
                  {"ranks", {lora.lowest_rank, lora.highest_rank}},
                  {"whole_tensors", lora.whole}};
  return json;
}

}  // namespace lithe::session

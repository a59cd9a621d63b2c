#include "checkpoints/read/family.h"

#include <algorithm>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/generation_file.h"
#include "models/facts.h"
#include "plan/parse.h"
#include "plan/validate.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

/// An integer, or a list of integers.
std::vector<int64_t> ids_in(const JsonView& config, const char* key) {
  if (!config.has(key)) return {};
  const Json& value = config.json()[key];
  const Json list = value.is_array() ? value : Json::array({value});
  const bool are_ids = std::all_of(list.begin(), list.end(), [](const Json& id) { return id.is_number_integer(); });
  require(are_ids, Fault::bad_file, config.source(), ": '", key, "' must be an id or a list of ids, got ",
          printable(value.dump(-1, ' ', true)));
  return list.get<std::vector<int64_t>>();
}

/// Stop strings that are one special token, which never comes out as text.
std::vector<int64_t> stop_ids(const Model& model) {
  std::vector<int64_t> ids;
  if (!model.prompting.tokenizer) return ids;
  for (const std::string& stop : model.prompting.stop_strings) {
    const auto id = model.prompting.tokenizer->id_of(stop);
    if (id && model.prompting.tokenizer->is_special(*id)) ids.push_back(*id);
  }
  return ids;
}

plan::Plan choose_plan(const Model& model, const fs::path& file, const std::optional<plan::Plan>& published) {
  if (!file.empty()) return plan::load_plan(file.string(), model.facts);
  if (published) plan::validate(*published, model.facts);
  return published.value_or(plan::Plan{});
}

}  // namespace

fs::path Source::plan_file() const {
  for (const fs::path& place : {options.lora, folder})
    if (!place.empty() && fs::exists(place / "plan.json")) return place / "plan.json";
  return {};
}

void take_decoder(WeightLoader& loader, const io::Checkpoint& checkpoint, Decoder& decoder, const Layout& layout) {
  visit(decoder, [&](const WeightSlot& slot) { loader.take(checkpoint, name_in(layout, slot.name), slot); });
  if (decoder.config.tied_embeddings)
    loader.ignore(checkpoint, name_in(layout, WeightName{.part = Part::decoder, .role = Role::head}));
}

void find_routers(const io::Checkpoint& checkpoint, const Layout& layout, DecoderConfig& decoder) {
  decoder.routers = layers_with_router(checkpoint, layout.decoder, decoder.layers);
  if (decoder.routers.empty()) return;
  const WeightName bias{
      .part = Part::decoder, .layer = decoder.routers.front(), .role = Role::router, .kind = Kind::bias};
  decoder.router_bias = checkpoint.contains(name_in(layout, bias));
}

void take_projector(WeightLoader& loader, const io::Checkpoint& checkpoint, Projector& projector,
                    const Layout& layout) {
  visit(projector, [&](const WeightSlot& slot) { loader.take(checkpoint, name_in(layout, slot.name), slot); });
}

void take_newline(WeightLoader& loader, const io::Checkpoint& checkpoint, Vision& vision, const Layout& layout) {
  if (!vision.newline) return;
  loader.take(checkpoint, name_in(layout, kNewline), {kNewline, &*vision.newline, {vision.hidden()}});
}

const TowerFiles::Place& TowerFiles::place_of(const WeightName& name) const {
  const auto holds = [&](const Place& place) { return place.checkpoint->contains(place.prefix + text_of(name)); };
  const auto found = std::find_if(places.begin(), places.end(), holds);
  return found == places.end() ? places.back() : *found;
}

EasPart tower_part(const TowerFiles& files, int64_t layers) {
  return {Part::tower, layers, [files](const WeightName& name) {
            const TowerFiles::Place& place = files.place_of(name);
            return place.checkpoint->find(place.prefix + text_of(name));
          }};
}

void take_tower(WeightLoader& loader, const TowerFiles& files, VisionTower& tower) {
  const auto ignore = [&](const WeightName& name) {
    const std::string text = text_of(name) + (name.role == Role::all ? "." : "");
    for (const TowerFiles::Place& place : files.places) loader.ignore(*place.checkpoint, place.prefix + text);
  };
  visit(tower, [&](const WeightSlot& slot) {
    const TowerFiles::Place& place = files.place_of(slot.name);
    loader.take(*place.checkpoint, place.prefix + text_of(slot.name), slot);
    if (files.places.size() > 1) ignore(slot.name);
  });
  // SigLIP's pooling, which LLaVA does not read.
  for (const TowerFiles::Place& place : files.places) loader.ignore(*place.checkpoint, place.prefix + "head.");
  // LLaVA reads hidden_states[-2]: the last block of the checkpoint is not needed.
  for (int64_t layer = tower.config.layers_run; layer < tower.config.layers; ++layer)
    ignore({.part = Part::tower, .layer = layer});
  // A published tower has the attentions and norms that a PIA beside it replaces.
  for (const auto& [layer, eas] : tower.config.eas) {
    if (eas.attention) continue;
    const WeightName name{.part = Part::tower, .layer = layer};
    for (const Role role : {Role::query, Role::key, Role::value, Role::output, Role::norm2}) {
      for (const Kind kind : {Kind::weight, Kind::bias}) ignore(name.with(role).with(kind));
    }
  }
}

std::vector<int64_t> read_eos_ids(const Model& model, const JsonView& config) {
  std::vector<int64_t> ids;
  const fs::path generation = model.folder / "generation_config.json";
  if (fs::exists(generation)) {
    const Json json = read_config_file(generation);
    ids = ids_in(JsonView(json, generation.string()), "eos_token_id");
  }
  if (ids.empty()) ids = ids_in(config, "eos_token_id");
  if (ids.empty() && config.has("text_config")) ids = ids_in(config.object("text_config"), "eos_token_id");
  if (ids.empty() && model.prompting.tokenizer && model.prompting.tokenizer->eos())
    ids.push_back(*model.prompting.tokenizer->eos());
  for (const int64_t id : stop_ids(model)) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  std::erase_if(ids, [&](int64_t id) { return id < 0 || id >= model.decoder.config.vocab; });
  std::sort(ids.begin(), ids.end());  // as ends() needs them
  return ids;
}

bool has_tokenizer(const fs::path& folder) {
  return fs::exists(folder / "tokenizer.json") || fs::exists(folder / "tokenizer.model");
}

void complete(Model& model, const Source& source, const std::optional<plan::Plan>& published) {
  model.facts = facts_of(model);
  plan::check(model.facts);
  const EasLayers tower = model.vision ? model.vision->tower.config.eas : EasLayers{};
  model.plan = choose_plan(model, source.plan_file(), without_attention(published, model.decoder.config.eas, tower));
  if (!model.prompting.tokenizer && has_tokenizer(model.folder))
    model.prompting.tokenizer = text::Tokenizer::open(model.folder, model.prompting.dialect);
  model.prompting.eos_ids = read_eos_ids(model, source.config);
  model.prompting.generation = read_generation(model.folder, model.prompting.eos_ids);
  std::vector<std::string>& stops = model.prompting.stop_strings;
  stops.insert(stops.end(), model.prompting.generation.stop_strings.begin(),
               model.prompting.generation.stop_strings.end());
  if (model.prompting.chat_template && model.prompting.chat_template->drops_text())
    model.notes.push_back(concat(model.prompting.chat_template->origin(),
                                 ": the chat template leaves out what the user writes; mend it, or use a raw prompt"));
  if (auto note = not_obeyed_note(model.folder, model.prompting.generation)) model.notes.push_back(*note);
}

}  // namespace lithe::models

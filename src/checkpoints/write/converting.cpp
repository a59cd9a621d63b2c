#include "checkpoints/write/converting.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>

#include "base/error.h"
#include "checkpoints/read/catalogue.h"
#include "checkpoints/read/conventions.h"
#include "checkpoints/read/gguf/files.h"
#include "checkpoints/read/layouts.h"
#include "checkpoints/read/meter.h"
#include "checkpoints/write/changed_folder.h"
#include "checkpoints/write/conversation_template.h"
#include "checkpoints/write/layout_configs.h"
#include "checkpoints/write/meter_folder.h"
#include "checkpoints/write/pmod_keys.h"
#include "checkpoints/write/renamed_weights.h"
#include "checkpoints/write/tokenizer_files.h"
#include "io/atomic_file.h"
#include "io/checkpoint.h"
#include "io/hub_cache.h"
#include "io/resave.h"
#include "models/model.h"
#include "plan/parse.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

bool is_original(const Model& model) {
  return model.family == "llava_original";
}

/// A model that is opened, and the folder that it becomes.
class Conversion {
 public:
  Conversion(const Model& model, const io::NewFolder& folder, const io::OnBytes& on_bytes)
      : model_(model),
        folder_(folder),
        config_(read_config_file(model.folder / "config.json")),
        view_(config_, (model.folder / "config.json").string()),
        weights_(model, view_, on_bytes),
        notes_(model.notes) {}

  Converted to_hf() {
    require_two_layers();
    const ImageMark mark = image_mark();
    note_what_hf_lacks();
    io::write_json_atomic(part() / "config.json", hf_config(model_, view_, mark, weights_.tower_inside()));
    add_image_mark({model_.folder, part()}, mark, model_.decoder.config.vocab);
    if (follows_llava(model_)) {
      io::write_json_atomic(part() / "preprocessor_config.json", processor_config(model_, false));
      io::write_json_atomic(part() / "processor_config.json", prompt_processor_config(model_));
      if (const auto jinja = chat_template()) io::write_text_atomic(part() / "chat_template.jinja", *jinja);
    }
    if (fs::exists(model_.folder / "plan.json") || !model_.decoder.config.routers.empty()) write_plan();
    copy_rest();
    weights_.write(part() / "model.safetensors", llava_hf_layout(nullptr), mark.rows);
    return done();
  }

  Converted to_original() {
    require(model_.family == "llava" || model_.family == "llava_next", Fault::bad_request, model_.name,
            ": LLaVA's own layout has no form for ", model_.family, "; use --to same, which keeps its layout");
    require(model_.vision->projector.activation == ops::Activation::gelu &&
                view_.boolean("multimodal_projector_bias", true),
            Fault::bad_request, model_.name,
            ": LLaVA's own layout has only projectors with GELU and biases; use --to same, which keeps its layout");
    const std::optional<Json> p_mod = p_mod_keys();
    io::write_json_atomic(part() / "config.json", original_config(model_, view_, p_mod));
    if (fs::exists(model_.folder / "plan.json") && !p_mod) write_plan();
    const JsonView own = conventions();
    const bool inside = own.boolean("tower_inside", false);
    const auto rows_from = own.has("vocab_size") ? std::optional(own.integer("vocab_size")) : std::nullopt;
    drop_image_mark({model_.folder, part()}, own.integer("added_image_token", -1), rows_from);
    io::make_folder(part() / "vision_tower");
    io::write_json_atomic(part() / "vision_tower/config.json", tower_config(model_.vision->tower.config));
    io::write_json_atomic(part() / "vision_tower/preprocessor_config.json", processor_config(model_, true));
    if (follows_llava(model_) && model_.prompting.chat_template)
      io::write_text_atomic(part() / "chat_template.jinja", model_.prompting.chat_template->source());
    copy_rest();
    Layout layout = llava_original_layout(nullptr, "mlp2x_gelu", model_.decoder.config.routers);
    weights_.write_apart(part(), layout, model_.decoder.config.vocab, inside);
    if (!follows_llava(model_)) {
      notes_.push_back(
          "prompts and pictures go on to follow the rules of transformers; LLaVA's own code would write its "
          "conversations and prepare pictures its own way");
    }
    return done();
  }

 private:
  const fs::path& part() const { return folder_.part(); }

  /// The prompts of a model that follows LLaVA, as a template.
  std::optional<std::string> chat_template() const {
    if (model_.prompting.chat_template) return model_.prompting.chat_template->source();
    return template_of_conversation(model_.prompting.conversation);
  }

  void require_two_layers() const {
    require(model_.vision.has_value(), Fault::bad_request, model_.name,
            ": has no vision tower, which the Hugging Face layout of LLaVA demands; use --to same, which keeps "
            "its layout");
    require(model_.vision->projector.layers.size() == 2, Fault::bad_request, model_.name, ": its projector has ",
            model_.vision->projector.layers.size(),
            " linear layers, in the Hugging Face layout it has two; use --to same, which keeps its layout");
  }

  /// Ids count from the tokenizer's end; transformers looks embeddings up for all of them, so each needs a row. As in
  /// the published folders there are then 64 n rows.
  ImageMark image_mark() const {
    constexpr int64_t kRows = 64, kMostAdded = int64_t{1} << 16;
    const int64_t vocab = model_.decoder.config.vocab;
    const auto known = model_.prompting.tokenizer ? model_.prompting.tokenizer->id_of(text::kImageMark) : std::nullopt;
    ImageMark mark{.id = known.value_or(model_.prompting.tokenizer ? model_.prompting.tokenizer->size() : vocab),
                   .added = !known};
    require(mark.id < vocab + kMostAdded, Fault::bad_file, model_.name, ": its tokenizer reaches the id ", mark.id,
            ", but the vocabulary of config.json ends at ", vocab, "; mend the tokenizer's files");
    mark.rows = mark.id < vocab ? vocab : (mark.id / kRows + 1) * kRows;
    return mark;
  }

  /// "conventions" of a Hugging Face folder that follows LLaVA, else nothing.
  JsonView conventions() const {
    static const Json kNone = Json::object();
    return follows_llava(model_) ? view_.object(kConventions) : JsonView(kNone, view_.source());
  }

  /// The published keys for the plan. They replace plan.json if they say all of it.
  std::optional<Json> p_mod_keys() const {
    const JsonView own = conventions();
    return folder_keys(model_.plan, shown_layers(model_),
                       own.has("p_mod") ? own.object("p_mod").json() : Json::object());
  }

  void write_plan() {
    if (fs::exists(model_.folder / "plan.json"))
      io::copy_file(model_.folder / "plan.json", part() / "plan.json");
    else
      io::write_json_atomic(part() / "plan.json", plan::to_json(model_.plan));
  }

  /// Files that neither hold weights nor were written already: tokenizers, licences.
  void copy_rest() {
    std::set<std::string> made{"config.json", "plan.json", "tokenizer.json", "tokenizer_config.json",
                               "generation_config.json"};
    if (follows_llava(model_))
      made.insert({"preprocessor_config.json", "processor_config.json", "chat_template.jinja", "chat_template.json"});
    io::copy_others(model_.folder, part(), made);
  }

  void note_what_hf_lacks() {
    if (!model_.decoder.config.routers.empty())
      notes_.push_back("transformers does not know routers; it would run every layer for every token");
    if (!model_.facts.adapters.empty() || !model_.facts.fixed.empty())
      notes_.push_back("transformers knows neither adapters of EAS nor layers without attention");
    const Packing& packing = model_.vision->packing;
    const bool tiles = model_.vision->preprocess.aspect == image::Aspect::anyres;
    if (packing.order == Packing::Order::spatial || packing.max_patches ||
        tiles != (packing.order == Packing::Order::spatial_unpad))
      notes_.push_back("transformers would make other tokens from a picture's tiles");
    if (follows_llava(model_) && !chat_template())
      notes_.push_back(concat("the conversation ", model_.prompting.conversation, " has no form as a chat template"));
  }

  Converted done() {
    Converted converted{.tensors = weights_.tensors(), .bytes = weights_.bytes(), .notes = std::move(notes_)};
    for (const auto& entry : fs::recursive_directory_iterator(part())) {
      if (entry.is_regular_file() && entry.path().extension() != ".safetensors") ++converted.files;
    }
    return converted;
  }

  const Model& model_;
  const io::NewFolder& folder_;
  const Json config_;
  const JsonView view_;
  RenamedWeights weights_;
  std::vector<std::string> notes_;
};

/// LaVIN's parts in one folder, under names as LLaVA's in the Hugging Face layout.
Converted join_lavin(const Model& model, const io::NewFolder& folder) {
  const fs::path& part = folder.part();
  io::write_json_atomic(part / "config.json", pinned_config(model));
  copy_files(model, part, {"config.json"});
  const io::Checkpoint own = own_checkpoint(model);
  WeightFile file;
  for (const std::string& name : own.names()) file.copy(name, own.at(name));
  file.write(part / "model.safetensors");
  Converted converted{.tensors = file.tensors(), .bytes = file.bytes(), .notes = model.notes};
  for (const auto& entry : fs::directory_iterator(part)) converted.files += entry.path().extension() != ".safetensors";
  return converted;
}

/// A prompt may follow the folder's name, which is another one now.
void pin_conversation(const io::NewFolder& folder) {
  const fs::path file = folder.part() / "config.json";
  if (!fs::exists(file)) return;
  Json config = read_config_file(file);
  if (!config.is_object() || config.contains("conversation")) return;
  const JsonView view(config, file.string());
  const std::string own = choose_conversation(folder.source(), folder.source(), view).name;
  if (own == choose_conversation(folder.place(), folder.source(), view).name) return;
  config["conversation"] = own;
  io::write_json_atomic(file, config);
}

Converted resave(const io::NewFolder& folder, const io::OnBytes& on_bytes) {
  const io::Resaved resaved = io::resave_folder(folder, on_bytes);
  pin_conversation(folder);
  return {.tensors = resaved.tensors, .bytes = resaved.bytes, .files = resaved.files, .notes = {}};
}

}  // namespace

Converted convert_folder(const fs::path& from, const fs::path& to, TargetLayout layout, const io::OnBytes& on_bytes) {
  if (is_meter(from)) return convert_meter(from, to);
  refuse_gguf(from, "convert");
  std::error_code code;
  require(!fs::exists(from / "adapter_config.json", code), Fault::bad_request, from.string(),
          ": is an adapter over another model; fold it first");
  io::NewFolder folder(from, to);
  Converted converted;
  const std::unique_ptr<Model> model = layout == TargetLayout::same ? nullptr : open_model(folder.source());
  const bool lavin = model && model->family == "lavin";
  require(!lavin || layout == TargetLayout::hf, Fault::bad_request, from.string(),
          ": LLaVA's own layout has no form for LaVIN; use --to hf, which joins its parts in one folder");
  try {
    if (lavin)
      converted = join_lavin(*model, folder);
    else if (!model || is_original(*model) == (layout == TargetLayout::original))
      converted = resave(folder, on_bytes);
    else if (layout == TargetLayout::hf)
      converted = Conversion(*model, folder, on_bytes).to_hf();
    else
      converted = Conversion(*model, folder, on_bytes).to_original();
  } catch (const fs::filesystem_error& error) {
    fail(Fault::bad_file, to.string(), ": the folder can't be written: ", error.code().message());
  }
  folder.commit();
  return converted;
}

}  // namespace lithe::models

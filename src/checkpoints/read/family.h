#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoints/read/layouts.h"
#include "checkpoints/read/llava_eas.h"
#include "checkpoints/read/weights.h"
#include "models/model.h"

// What the families share. A new family needs three files of this folder:
//   NAME.cpp       its table of checkpoint names, its config, its prompt and its preprocessing, ending in open_NAME;
//                  llava_onevision.cpp is the shortest example, over hf_folder.h
//   family.h       the declaration of open_NAME, below
//   catalogue.cpp  the line with the model_type of config.json that opens it
// The parts themselves (tower, projector, decoder) are in models/parts/.
namespace lithe::models {

/// What an opener gets: the folder and its config.json.
struct Source {
  std::filesystem::path folder;
  JsonView config;
  LoadOptions options;

  /// plan.json of the LoRA folder, else of the model's; empty if there is none.
  std::filesystem::path plan_file() const;
};

/// One line of the catalogue.
struct Family {
  const char* model_type;  ///< Of config.json.
  std::unique_ptr<Model> (*open)(const Source&);
};

/// Every family, in catalogue.cpp.
const std::vector<Family>& families();

// Each in the file of its family.
std::unique_ptr<Model> open_llava_hf(const Source& source);
std::unique_ptr<Model> open_llava_onevision(const Source& source);
std::unique_ptr<Model> open_llava_original(const Source& source);
std::unique_ptr<Model> open_lavin(const Source& source);

/// Takes every weight of the decoder, and of the projector, by the names of the layout.
void take_decoder(WeightLoader& loader, const io::Checkpoint& checkpoint, Decoder& decoder, const Layout& layout);
void take_projector(WeightLoader& loader, const io::Checkpoint& checkpoint, Projector& projector, const Layout& layout);

/// The routers that the decoder of a Hugging Face folder has, which only the tensors show.
void find_routers(const io::Checkpoint& checkpoint, const Layout& layout, DecoderConfig& decoder);

/// Takes the newline row if the model reads one.
void take_newline(WeightLoader& loader, const io::Checkpoint& checkpoint, Vision& vision, const Layout& layout);

/// Where the weights of a tower are: in one checkpoint or more, each under its prefix. What several hold is read from
/// the first: the tower's own folder comes after what was trained beside it.
struct TowerFiles {
  struct Place {
    const io::Checkpoint* checkpoint;
    std::string prefix;  ///< "model.vision_tower."
  };
  std::vector<Place> places;

  /// The first place that holds the weight; the last if none does.
  const Place& place_of(const WeightName& name) const;
};
EasPart tower_part(const TowerFiles& files, int64_t layers);

/// Takes every weight of a tower, and notes nothing of what is not run: the last blocks, attentions that are replaced.
void take_tower(WeightLoader& loader, const TowerFiles& files, VisionTower& tower);

/// Whether a folder holds a tokenizer that Tokenizer::open reads.
bool has_tokenizer(const std::filesystem::path& folder);

/// What follows from the parts: facts, plan (plan.json, else `published`, else dense), tokenizer,
/// generation defaults and EOS ids. Throws Error.
void complete(Model& model, const Source& source, const std::optional<plan::Plan>& published);

/// The ids that end an answer: of generation_config.json, else of config.json, else the tokenizer's; ids outside the
/// vocabulary are left out, as nothing can ever produce them.
std::vector<int64_t> read_eos_ids(const Model& model, const JsonView& config);

}  // namespace lithe::models

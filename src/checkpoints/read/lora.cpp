#include "checkpoints/read/lora.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "checkpoints/read/config.h"
#include "checkpoints/read/tied_head.h"
#include "io/hub_cache.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "adapter_config.json";
constexpr std::array kWeights{"adapter_model.safetensors", "adapter_model.bin"};
constexpr const char* kWhole = "non_lora_trainables.bin";  // beside the factors, in LLaVA's own folders
const std::string kEmbeddings = text_of({.part = Part::decoder, .role = Role::embeddings});
const std::string kHead = text_of({.part = Part::decoder, .role = Role::head});

bool take_front(std::string& name, std::string_view front) {
  if (!name.starts_with(front)) return false;
  name.erase(0, front.size());
  return true;
}

bool take_end(std::string& name, std::string_view end) {
  if (!name.ends_with(end)) return false;
  name.erase(name.size() - end.size());
  return true;
}

bool take_number(std::string& name, int64_t& number) {
  const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (code != std::errc()) return false;
  name.erase(0, static_cast<size_t>(end - name.data()));
  return true;
}

void take_out(std::string& name, std::string_view part, std::string_view instead) {
  const size_t at = name.find(part);
  if (at != name.npos) name.replace(at, part.size(), instead);
}

/// The name of a head of its own in the layout whose embeddings have this name.
std::string head_beside(const std::string& embeddings) {
  constexpr std::string_view kBeforeHead = ".model.embed_tokens.weight";
  std::string prefix = embeddings;
  return take_end(prefix, kBeforeHead) ? prefix + "." + kHead : kHead;
}

/// A projector's layer, which layouts number in three ways, by its number: "multi_modal_projector.linear_2.bias" is
/// "1.bias", "mm_projector.2.bias" too, and "mm_projector.bias" of a single layer is "0.bias".
std::string projector_name(std::string name) {
  int64_t number = 0;
  if (take_front(name, "multi_modal_projector.linear_")) {
    if (take_number(name, number) && number > 0) return concat(number - 1, name);
    return concat("multi_modal_projector.linear_", name);
  }
  if (!take_front(name, "mm_projector.")) return name;
  if (!take_number(name, number)) return "0." + name;
  return number % 2 == 0 ? concat(number / 2, name) : concat("mm_projector.", number, name);
}

}  // namespace

LoraConfig config_of_lora(const fs::path& folder) {
  const fs::path file = folder / kConfig;
  const Json json = read_config_file(file);
  return LoraConfig::read(JsonView(json, file.string()));
}

std::string plain_name(const std::string& name) {
  std::string plain = name;
  const auto take_any = [&plain] {
    for (const char* part : {"model.", "language_model.", "vision_tower.", "vision_model."})
      if (take_front(plain, part)) return true;
    return false;
  };
  while (take_any()) {
  }
  if (plain.starts_with("layers.")) {  // as p-MoD's training wraps them
    take_out(plain, ".decoder_layer.", ".");
    take_out(plain, ".router.router.", ".router.");
  }
  return projector_name(std::move(plain));
}

bool is_lora_folder(const fs::path& folder) {
  if (!is_there(folder / kConfig)) return false;
  return is_there(folder / kWeights[0]) || is_there(folder / kWeights[1]) || !is_there(folder / "config.json");
}

void require_lora_folder(const fs::path& folder) {
  if (is_lora_folder(folder)) return;
  require(!is_there(folder / "config.json"), Fault::bad_file, folder.string(),
          ": is a whole model and not a LoRA adapter; give it as the model, or give as LoRA a PEFT folder with "
          "adapter_config.json and adapter_model.safetensors");
  fail(Fault::bad_file, folder.string(),
       ": is not a PEFT folder, which holds adapter_config.json and adapter_model.safetensors or .bin");
}

fs::path base_of_lora(const fs::path& folder) {
  const LoraConfig config = config_of_lora(folder);
  require(!config.base.empty(), Fault::bad_file, (folder / kConfig).string(),
          ": names no 'base_model_name_or_path'; open the base model, with this folder as the LoRA over it");
  const fs::path named = config.base, found = is_there(named / "config.json") ? named : named_folder(folder, named);
  if (!found.empty()) return fs::absolute(found).lexically_normal();
  const fs::path above = fs::absolute(folder).lexically_normal().parent_path();
  const std::optional<io::HubName> hub = io::parse_hub_name(config.base);
  fail(Fault::bad_file, folder.string(), ": the base model '", config.base.substr(0, 200),
       "' is missing; put its folder at ", (above / last_part(config.base)).string(),
       hub ? ", or run `" + io::download_command(*hub) + "`" : "",
       ", or open it from where it is, with this folder as the LoRA over it");
}

LoraFolder LoraFolder::open(const fs::path& folder) {
  LoraFolder lora;
  lora.path_ = folder;
  lora.config_ = config_of_lora(folder);
  const bool first = is_there(folder / kWeights[0]), second = is_there(folder / kWeights[1]);
  require(first || second, Fault::bad_file, folder.string(), ": holds neither ", kWeights[0], " nor ", kWeights[1]);
  std::vector<fs::path> files{folder / kWeights[first ? 0 : 1]};
  if (is_there(folder / kWhole)) files.push_back(folder / kWhole);
  for (const fs::path& file : files) {
    const auto& opened = *lora.files_.emplace_back(std::make_unique<io::Checkpoint>(io::Checkpoint::open(file)));
    for (const std::string& name : opened.names()) lora.sort_tensor(opened, name);
  }
  lora.check_pairs();
  lora.check_whole();
  return lora;
}

void LoraFolder::sort_tensor(const io::Checkpoint& file, const std::string& name) {
  const auto refuse = [&](bool wrong, const char* what) {
    require(!wrong, Fault::bad_file, file.path().string(), ": the tensor '", name, "' ", what);
  };
  refuse(name.find("lora_magnitude_vector") != name.npos, "belongs to DoRA, which is not supported");
  refuse(name.find("lora_embedding_") != name.npos, "is LoRA on embeddings, which is not supported");
  std::string module = name;
  take_front(module, "base_model.model.");
  take_out(module, ".base_layer.", ".");
  take_out(module, ".modules_to_save.", ".");
  take_out(module, ".default.", ".");  // the adapter's name in PEFT
  const bool is_a = take_end(module, ".lora_A.weight"), is_b = !is_a && take_end(module, ".lora_B.weight");
  const io::TensorView& tensor = file.at(name);
  if (!is_a && !is_b) {
    refuse(name.find(".lora_") != name.npos, "is not a LoRA factor, which are lora_A.weight and lora_B.weight");
    refuse(!whole_.emplace(module, &tensor).second, "stands twice");
    return;
  }
  Pair& pair = pairs_.emplace(plain_name(module + ".weight"), Pair{module, nullptr, nullptr, 0, 0}).first->second;
  const io::TensorView*& place = is_a ? pair.a : pair.b;
  refuse(place != nullptr, "stands twice");
  place = &tensor;
}

void LoraFolder::check_pairs() {
  const std::string file = files_.front()->path().string();
  require(!pairs_.empty() || !whole_.empty(), Fault::bad_file, file, ": holds no tensor");
  for (auto& [plain, pair] : pairs_) {
    const std::string where = concat(file, ": the module '", pair.module, "'");
    require(pair.a && pair.b, Fault::bad_file, where, " has no ", pair.a ? "lora_B" : "lora_A");
    const char* const key = config_.key_against(pair.module);
    require(key == nullptr, Fault::bad_file, where, " is not among those that '", key ? key : "", "' of ", kConfig,
            " lets be adapted; save the adapter again with PEFT");
    pair.rank = config_.rank_of(pair.module);
    pair.scale = config_.scale_of(pair.module);
    const bool fits = pair.a->shape.size() == 2 && pair.b->shape.size() == 2 && pair.a->shape[0] == pair.rank &&
                      pair.b->shape[1] == pair.rank;
    require(fits, Fault::bad_file, where, " has lora_A ", io::text_of(pair.a->shape), " and lora_B ",
            io::text_of(pair.b->shape), "; with the rank ", pair.rank, " of ", kConfig, " they are [", pair.rank,
            ", in] and [out, ", pair.rank, "]");
  }
}

void LoraFolder::check_whole() const {
  std::set<std::string_view> ends;  // of the names, each from a part on
  for (const auto& [name, tensor] : whole_) {
    const std::string_view whole = name;
    ends.insert(whole);
    for (size_t point = whole.find('.'); point != whole.npos; point = whole.find('.', point + 1))
      ends.insert(whole.substr(point + 1));
  }
  for (const std::string& module : config_.whole) {
    const auto first = ends.lower_bound(module + ".");
    const bool found = first != ends.end() && first->starts_with(module + ".");
    require(found, Fault::bad_file, files_.front()->path().string(), ": holds no tensor of ", in_quotes(module),
            ", which 'modules_to_save' of ", kConfig, " lists");
  }
}

/// `modules_to_save` trains a copy beside the tied weight, any other tensor replaces that weight itself, and factors go
/// over it. Returns whether the head is then untied.
bool LoraFolder::split_tied_head(io::Checkpoint& base, const std::string& embeddings, const std::string& head) const {
  io::TensorView shared = base.at(embeddings);
  bool alone = pairs_.contains(kHead);
  for (const auto& [name, tensor] : whole_) {
    const std::string plain = plain_name(name);
    if (plain != kEmbeddings && plain != kHead) continue;
    const bool is_copy = config_.saves(name.substr(0, name.rfind('.'))) && !config_.ties_weights;
    alone = alone || is_copy;
    if (!is_copy) shared = *tensor;
  }
  base.put(embeddings, shared);
  if (alone || base.contains(head)) base.put(head, shared);
  return alone;
}

std::set<std::string> LoraFolder::whole_names() const {
  std::set<std::string> names;
  for (const auto& [name, tensor] : whole_) names.insert(plain_name(name));
  return names;
}

void LoraFolder::put_whole(io::Checkpoint& base, bool ties) const {
  std::map<std::string, std::string> names;
  for (const std::string& name : base.names()) names[plain_name(name)] = name;
  bool stays_tied = false;
  if (ties && names.contains(kEmbeddings)) {
    const std::string embeddings = names[kEmbeddings],
                      head = names.emplace(kHead, head_beside(embeddings)).first->second;
    if (!has_own_head(base, embeddings, head)) stays_tied = !split_tied_head(base, embeddings, head);
  }
  for (const auto& [name, tensor] : whole_) {
    const std::string plain = plain_name(name);
    if (stays_tied && (plain == kEmbeddings || plain == kHead)) continue;
    const auto found = names.find(plain);
    base.put(found == names.end() ? name : found->second, *tensor);
  }
}

}  // namespace lithe::models

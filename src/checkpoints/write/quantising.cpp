#include "checkpoints/write/quantising.h"

#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "checkpoints/read/catalogue.h"
#include "checkpoints/read/gguf/files.h"
#include "checkpoints/read/meter.h"
#include "checkpoints/read/packed_weights.h"
#include "checkpoints/read/tensor_over.h"
#include "checkpoints/write/changed_folder.h"
#include "checkpoints/write/code_tensors.h"
#include "checkpoints/write/renamed_weights.h"
#include "checkpoints/write/weight_file.h"
#include "io/atomic_file.h"
#include "io/hub_cache.h"
#include "io/new_folder.h"
#include "models/calibrated_codes.h"
#include "models/model.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

constexpr WeightFile::Refusals kQuantisingRefusals{"; fetch or export the model again", "; use int8"};

/// A model's folder on its way to another one with rounded weights.
class Quantisation {
 public:
  Quantisation(const Model& model, const QuantiseOptions& options, CalibratedCodes calibrated, const fs::path& to,
               io::OnBytes on_bytes)
      : model_(model), options_(options), calibrated_(std::move(calibrated)), to_(to), on_bytes_(std::move(on_bytes)) {
    const WeightVisitor note = [this](const WeightSlot& slot) { slots_[slot.name] = {slot.shape, slot.matrix}; };
    visit(const_cast<Model&>(model), note);  // the places are only read
    done_.notes = model.notes;
  }

  Quantised write() {
    copy_files(model_, to_, {"config.json"});
    const io::Checkpoint own = own_checkpoint(model_);
    const Json config = pinned_config(model_);
    layout_ = layout_of(model_, JsonView(config, model_.config_file.string()), own);
    Listed listed = list(own);
    io::write_json_atomic(to_ / "config.json", with_codes(config, listed));
    listed.file.write(to_ / "model.safetensors", on_bytes_);
    if (!model_.tower_folder.empty()) write_tower();
    return std::move(done_);
  }

 private:
  /// What the model's config demands of a weight.
  struct Slot {
    std::vector<int64_t> shape;
    bool matrix = false;
  };
  /// One checkpoint, and which of its weights have codes.
  struct Listed {
    WeightFile file{kQuantisingRefusals};
    std::vector<CodedWeight> coded;
    std::vector<std::string> plain;  ///< Modules of matrices without codes.
  };

  std::optional<Codes> codes_of(const WeightName& name, const Slot& slot) const {
    const bool kept = options_.keeps_embeddings && (name.role == Role::embeddings || name.role == Role::head);
    return kept ? std::nullopt : codes_for(name, slot.shape, options_.weights);
  }

  /// transformers ties the head only if the file has no other one, and rounded embeddings are not what they were.
  bool is_copy_of_embeddings(const std::string& in_file) const {
    if (!model_.decoder.config.tied_embeddings) return false;
    const std::optional<PartName> part = part_of(layout_, in_file);
    const std::optional<WeightName> weight = part ? weight_named(part->text) : std::nullopt;
    return weight && weight->role == Role::head;
  }

  Listed list(const io::Checkpoint& checkpoint) {
    std::map<std::string, WeightName> read;  // by name in the file
    for (const auto& [weight, origin] : model_.loaded.origins)
      if (origin.checkpoint == checkpoint.path()) read[origin.in_file] = weight;
    Listed listed;
    for (const std::string& in_file : checkpoint.names()) {
      const io::TensorView& view = checkpoint.at(in_file);
      const auto found = read.find(in_file);
      if (found != read.end())
        add(listed, in_file, view, found->second);
      else if (!is_copy_of_embeddings(in_file))
        keep(listed, in_file, view);
    }
    done_.tensors += listed.file.tensors();
    done_.bytes += listed.file.bytes();
    done_.bytes_before += checkpoint.bytes();
    return listed;
  }

  static std::string module_of(const std::string& in_file) { return in_file.substr(0, in_file.rfind('.')); }

  /// Other programs must know of each matrix that has no codes, also of those that Lithe does not read.
  static void keep(Listed& listed, const std::string& in_file, const io::TensorView& view) {
    if (view.shape.size() == 2 && in_file.ends_with(".weight")) listed.plain.push_back(module_of(in_file));
    listed.file.copy(in_file, view);
  }

  void add(Listed& listed, const std::string& in_file, const io::TensorView& view, const WeightName& name) {
    const Slot& slot = slots_.at(name);
    if (const std::optional<Codes> codes = codes_of(name, slot)) {
      const auto made = calibrated_.by_name.find(name);
      const bool is_made = made != calibrated_.by_name.end();
      listed.coded.push_back({module_of(in_file), slot.shape, *codes, name.role == Role::embeddings,
                              is_made ? std::optional(made->second) : std::nullopt});
      listed.file.make(code_tensors(listed.coded.back(), view));
      ++(codes->kind == ops::WeightKind::int8 ? done_.int8 : done_.int4);
      return;
    }
    const bool rounds = options_.weights == WeightStorage::bfloat16 && slot.matrix && view.dtype != io::Dtype::bfloat16;
    if (!rounds) return keep(listed, in_file, view);
    listed.file.make(in_file, {at::kBFloat16, view.shape, [&view] { return tensor_over(view); }});
    ++done_.bfloat16;
  }

  /// A config.json that says which weights have codes.
  static Json with_codes(Json config, const Listed& listed) {
    if (!listed.coded.empty()) config["quantization_config"] = code_config(listed.coded, listed.plain);
    return config;
  }

  void write_tower() {
    const io::Checkpoint tower = io::Checkpoint::open(model_.tower_folder);
    const Listed listed = list(tower);
    const fs::path out = to_ / io::name_of_folder(model_.tower_folder);
    write_tower_folder(model_, listed.file, out);
    const fs::path config = out / "config.json";
    if (!listed.coded.empty()) io::write_json_atomic(config, with_codes(read_config_file(config), listed));
  }

  const Model& model_;
  const QuantiseOptions options_;
  const CalibratedCodes calibrated_;
  const fs::path to_;
  const io::OnBytes on_bytes_;
  std::map<WeightName, Slot> slots_;
  Layout layout_;  // of the model's own checkpoint
  Quantised done_;
};

void require_quantisable(const fs::path& from, const QuantiseOptions& options) {
  require(options.weights == WeightStorage::bfloat16 || is_codes(options.weights), Fault::bad_request,
          "weights can be quantised to bfloat16, int8 or int4 only");
  require(!options.calibrate || options.weights == WeightStorage::int4, Fault::bad_request,
          "only codes of 4 bits depend on data; calibrate with int4");
  refuse_gguf(from, "quantize");
  require(!is_meter(from), Fault::bad_request, from.string(),
          ": METER has no layout for codes; open it with --weights int8 or int4, which rounds it then");
  std::error_code code;
  require(!fs::exists(from / "adapter_config.json", code), Fault::bad_request, from.string(),
          ": is an adapter over another model; fold it first, then quantize the result");
}

}  // namespace

Quantised quantise_folder(const fs::path& from, const fs::path& to, const QuantiseOptions& options,
                          const io::OnBytes& on_bytes) {
  require_quantisable(from, options);
  io::NewFolder folder(from, to);
  const std::unique_ptr<Model> model = open_model(folder.source());
  require(!holds_packed(own_checkpoint(*model)), Fault::bad_request, from.string(),
          ": its weights are codes already; quantize the original model");
  CalibratedCodes calibrated = options.calibrate ? options.calibrate(*model) : CalibratedCodes();
  Quantised done;
  try {
    done = Quantisation(*model, options, std::move(calibrated), folder.part(), on_bytes).write();
  } catch (const fs::filesystem_error& error) {
    fail(Fault::bad_file, to.string(), ": the folder can't be written: ", error.code().message());
  }
  folder.commit();
  return done;
}

}  // namespace lithe::models

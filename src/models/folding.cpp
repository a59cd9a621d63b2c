#include "models/folding.h"

#include <ATen/ops/zeros.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"
#include "models/llava_eas.h"
#include "nn/adapters/fold.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

io::Dtype dtype_of(at::ScalarType type) {
  if (type == at::kBFloat16) return io::Dtype::bfloat16;
  return type == at::kHalf ? io::Dtype::float16 : io::Dtype::float32;
}

/// A weight that is made when it is written, so that a model's folded weights need not be in memory at once.
struct Made {
  io::SafetensorsWriter::Entry entry;
  std::function<Tensor()> make;
};

/// The tensors of a folded checkpoint: which of the old ones go, and what takes their places.
class FoldedWeights {
 public:
  FoldedWeights(const Model& model, const io::Checkpoint& checkpoint, const std::vector<nn::LayerState>* frozen)
      : model_(model), checkpoint_(checkpoint), frozen_(frozen) {
    for (const auto& [layer, eas] : model.decoder.config.eas) fold_layer(layer, eas);
    if (frozen_) add_biases();
  }

  const FoldCount& count() const { return count_; }

  void write(const fs::path& file) const {
    std::vector<io::SafetensorsWriter::Entry> entries;
    std::vector<std::string> copied;
    for (const std::string& name : checkpoint_.names()) {
      if (made_.contains(name) || is_dropped(name)) continue;
      const io::TensorView& view = checkpoint_.at(name);
      entries.push_back({name, view.dtype, view.shape});
      copied.push_back(name);
    }
    for (const auto& [name, made] : made_) entries.push_back(made.entry);
    io::SafetensorsWriter writer(file, entries, {{"format", "pt"}});
    for (const std::string& name : copied) writer.put(name, checkpoint_.at(name).bytes);
    for (const auto& [name, made] : made_) {
      const Tensor tensor = made.make().contiguous();
      writer.put(name, {static_cast<const std::byte*>(tensor.const_data_ptr()), static_cast<size_t>(tensor.nbytes())});
    }
    writer.commit();
  }

 private:
  void fold_layer(int64_t layer, const EasLayer& eas) {
    const std::string prefix = prefix_of_layer(layer);
    const routing::Block& block = model_.decoder.blocks[static_cast<size_t>(layer)];
    const routing::Site& feeds = *block.find(routing::Site::Kind::feed_forward);
    const auto& mlp = std::get<nn::Mlp>(feeds.branch);
    if (eas.pia && eas.gain) {
      dropped_.push_back(prefix + "post_attention_layernorm.weight");
      ++count_.gains;
    }
    if (eas.pia && frozen_) {
      const nn::LayerState& state = (*frozen_)[static_cast<size_t>(layer)];
      require(state.pia_gate && state.pia_mean, Fault::internal, "layer ", layer, " froze neither gate nor mean");
      const nn::AdapterMap map = nn::map_of(*feeds.pia, *state.pia_gate, *state.pia_mean);
      replace(prefix + "mlp.gate_proj", *mlp.gate, map);
      replace(prefix + "mlp.up_proj", mlp.up, map);
      drop_adapter(prefix + "replaced_adapter.");
    } else if (eas.pia) {
      if (eas.gain) fold_gain(prefix, mlp, *feeds.pia->gain);
      ++count_.left;
    }
    if (eas.adapter && frozen_)
      fold_attention(prefix, *block.find(routing::Site::Kind::self), (*frozen_)[static_cast<size_t>(layer)]);
    else if (eas.adapter)
      ++count_.left;
  }

  void fold_attention(const std::string& prefix, const routing::Site& site, const nn::LayerState& state) {
    require(state.attention_gate.has_value(), Fault::internal, prefix, " froze no gate");
    const nn::AdapterMap map = nn::map_of(*site.adapter, *state.attention_gate);
    const auto& attention = std::get<nn::Attention>(site.branch);
    replace(prefix + "self_attn.q_proj", attention.query, map);
    replace(prefix + "self_attn.k_proj", attention.key, map);
    replace(prefix + "self_attn.v_proj", attention.value, map);
    drop_adapter(prefix + "adapter_attn.");
  }

  void fold_gain(const std::string& prefix, const nn::Mlp& mlp, const Tensor& gain) {
    for (const auto& [name, linear] : {std::pair{"mlp.gate_proj", &*mlp.gate}, std::pair{"mlp.up_proj", &mlp.up}}) {
      add(prefix + name + ".weight", linear->weight.scalar_type(), linear->weight.sizes().vec(),
          [linear = *linear, gain] { return nn::folded(linear, gain).weight; });
    }
  }

  void replace(const std::string& name, const nn::Linear& linear, const nn::AdapterMap& map) {
    add(name + ".weight", linear.weight.scalar_type(), linear.weight.sizes().vec(),
        [linear, map] { return nn::folded(linear, map).weight; });
    add(name + ".bias", at::kFloat, {linear.out()}, [linear, map] { return *nn::folded(linear, map).bias; });
  }

  void drop_adapter(const std::string& prefix) {
    dropped_.push_back(prefix);
    ++count_.adapters;
  }

  /// transformers' configs know biases for all products of a kind or for none: the others get zeros.
  void add_biases() {
    for (size_t layer = 0; layer < model_.decoder.blocks.size(); ++layer) {
      const std::string prefix = prefix_of_layer(static_cast<int64_t>(layer));
      for (const routing::Site& site : model_.decoder.blocks[layer].sites) {
        if (const auto* attention = std::get_if<nn::Attention>(&site.branch)) {
          add_bias(prefix + "self_attn.q_proj", attention->query);
          add_bias(prefix + "self_attn.k_proj", attention->key);
          add_bias(prefix + "self_attn.v_proj", attention->value);
          add_bias(prefix + "self_attn.o_proj", attention->output);
        } else if (const auto* mlp = std::get_if<nn::Mlp>(&site.branch)) {
          add_bias(prefix + "mlp.gate_proj", *mlp->gate);
          add_bias(prefix + "mlp.up_proj", mlp->up);
          add_bias(prefix + "mlp.down_proj", mlp->down);
        }
      }
    }
  }
  void add_bias(const std::string& product, const nn::Linear& linear) {
    const std::string name = product + ".bias";
    if (made_.contains(name) || checkpoint_.contains(name)) return;
    add(name, at::kFloat, {linear.out()}, [rows = linear.out()] { return at::zeros({rows}, at::kFloat); });
  }

  void add(const std::string& name, at::ScalarType type, std::vector<int64_t> shape, std::function<Tensor()> make) {
    made_[name] = {{name, dtype_of(type), std::move(shape)}, std::move(make)};
  }
  bool is_dropped(const std::string& name) const {
    return std::any_of(dropped_.begin(), dropped_.end(), [&](const std::string& pattern) {
      return pattern.ends_with('.') ? name.starts_with(pattern) : name == pattern;
    });
  }
  std::string prefix_of_layer(int64_t layer) const {
    const std::string plain = concat("model.layers.", layer, ".");
    const bool wrapped = checkpoint_.contains(plain + "decoder_layer.input_layernorm.weight");
    return wrapped ? plain + "decoder_layer." : plain;
  }

  const Model& model_;
  const io::Checkpoint& checkpoint_;
  const std::vector<nn::LayerState>* frozen_;
  std::vector<std::string> dropped_;
  std::map<std::string, Made> made_;
  FoldCount count_;
};

/// config.json of the folded folder.
Json folded_config(const Model& model, bool is_frozen) {
  Json config = read_json_file(model.folder / "config.json", 16 << 20);
  Json sites = Json::array();
  for (const plan::FixedSite& fixed : model.facts.fixed) {
    sites.push_back({{"stream", fixed.site.stream}, {"layer", fixed.site.layer}, {"attention", fixed.attention}});
  }
  config[kFixedSites] = sites;
  // The conversation follows from the folder's name, which is another one now.
  config["conversation"] = model.prompt.conversation;
  if (!model.tower_folder.empty()) config["mm_vision_tower"] = model.tower_folder.filename().string();
  if (!is_frozen) return config;
  config["attention_bias"] = config["mlp_bias"] = true;
  config.erase("eas");
  return config;
}

bool is_weights(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.ends_with(".safetensors") || name.ends_with(".bin") || name.ends_with(".pth") || name.ends_with(".pt") ||
         name.ends_with(".index.json");
}

/// Everything beside the weights: tokenizer, templates, the tower's own folder.
void copy_rest(const Model& model, const fs::path& out) {
  constexpr auto kRecursive = fs::copy_options::recursive | fs::copy_options::skip_existing;
  for (const auto& entry : fs::directory_iterator(model.folder)) {
    const fs::path name = entry.path().filename();
    if (name.string().starts_with('.') || name == "config.json" || !entry.is_regular_file() || is_weights(name)) {
      continue;
    }
    fs::copy(entry.path(), out / name);
  }
  if (!model.tower_folder.empty()) fs::copy(model.tower_folder, out / model.tower_folder.filename(), kRecursive);
}

/// A folder that is moved into its place when it is whole, and removed where it is not.
class NewFolder {
 public:
  explicit NewFolder(fs::path out) : out_(std::move(out)) {
    if (!out_.has_filename()) out_ = out_.parent_path();  // a closing slash
    const std::string name = out_.filename().string();
    part_ = out_.parent_path() / concat(".", name, ".part-", ::getpid());
    std::error_code code;
    require(!fs::exists(out_, code) || fs::is_empty(out_, code), Fault::bad_request, out_.string(),
            ": is there already; name a folder that is not, or an empty one");
    io::make_folder(part_);
  }
  ~NewFolder() {
    std::error_code ignored;
    fs::remove_all(part_, ignored);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  const fs::path& part() const { return part_; }
  void commit() { fs::rename(part_, out_); }

 private:
  fs::path out_, part_;
};

}  // namespace

FoldCount write_folded(const Model& model, const std::vector<nn::LayerState>* frozen, const fs::path& out) {
  require(!model.decoder.config.eas.empty(), Fault::bad_request, model.name,
          ": has no adapters, so there is nothing to fold");
  const io::Checkpoint checkpoint = io::Checkpoint::open(model.folder);
  const FoldedWeights weights(model, checkpoint, frozen);
  require(weights.count().gains + weights.count().adapters > 0, Fault::bad_request, model.name,
          ": everything that every request shares is folded already");
  try {
    NewFolder folder(fs::absolute(out).lexically_normal());
    copy_rest(model, folder.part());
    io::write_text_atomic(folder.part() / "config.json", folded_config(model, frozen != nullptr).dump(2) + "\n");
    weights.write(folder.part() / "model.safetensors");
    folder.commit();
  } catch (const fs::filesystem_error& error) {
    fail(Fault::bad_file, out.string(), ": the folder cannot be written: ", error.code().message());
  }
  return weights.count();
}

}  // namespace lithe::models

#include "checkpoints/read/meta_llama.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "checkpoints/read/config.h"
#include "checkpoints/read/config_keys.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;
using io::TensorView;

/// How a tensor is cut over the files.
enum class Cut { none, rows, columns };

struct Renamed {
  std::string_view meta, hf;
  Cut cut;
  bool turns = false;  ///< Its rows are turned by rotary embedding.
};

constexpr Renamed kOfLayer[] = {
    {"attention.wq.weight", "self_attn.q_proj.weight", Cut::rows, true},
    {"attention.wk.weight", "self_attn.k_proj.weight", Cut::rows, true},
    {"attention.wv.weight", "self_attn.v_proj.weight", Cut::rows},
    {"attention.wo.weight", "self_attn.o_proj.weight", Cut::columns},
    {"feed_forward.w1.weight", "mlp.gate_proj.weight", Cut::rows},
    {"feed_forward.w2.weight", "mlp.down_proj.weight", Cut::columns},
    {"feed_forward.w3.weight", "mlp.up_proj.weight", Cut::rows},
    {"attention_norm.weight", "input_layernorm.weight", Cut::none},
    {"ffn_norm.weight", "post_attention_layernorm.weight", Cut::none},
};
constexpr Renamed kOfModel[] = {
    {"tok_embeddings.weight", "embed_tokens.weight", Cut::columns},
    {"norm.weight", "norm.weight", Cut::none},
    {"output.weight", "lm_head.weight", Cut::rows},
};

std::vector<fs::path> part_files(const fs::path& folder) {
  for (const char* ending : {".safetensors", ".pth"}) {
    std::vector<fs::path> files;
    std::error_code code;
    for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
      const std::string name = entry->path().filename().string();
      if (name.starts_with("consolidated.") && name.ends_with(ending)) files.push_back(entry->path());
    }
    require(!code, Fault::bad_file, folder.string(), ": the folder can't be read: ", code.message());
    std::sort(files.begin(), files.end());
    if (!files.empty()) return files;
  }
  fail(Fault::bad_file, folder.string(), ": has a params.json, but no consolidated.00.pth or .safetensors beside it");
}

/// A tensor in memory that is being made.
struct Made {
  Made(const TensorView& like, std::vector<int64_t> of) : view{like.dtype, std::move(of), {}, nullptr, like.file} {
    const auto size = static_cast<size_t>(io::bytes_of(view.dtype, view.shape).value());
    bytes = io::allocate_aligned(size);
    view.bytes = {bytes.get(), size};
    view.owner = bytes;
  }
  TensorView view;
  std::shared_ptr<std::byte> bytes;
};

/// parts: [rows of each, width] -> [rows of all, width]
TensorView rows_joined(const std::vector<const TensorView*>& parts) {
  std::vector<int64_t> shape = parts.front()->shape;
  shape[0] = 0;
  for (const TensorView* part : parts) shape[0] += part->shape[0];
  Made made(*parts.front(), shape);
  std::byte* at = made.bytes.get();
  for (const TensorView* part : parts) {
    std::memcpy(at, part->bytes.data(), part->bytes.size());
    at += part->bytes.size();
  }
  return made.view;
}

/// parts: [rows, width of each] -> [rows, width of all]
TensorView columns_joined(const std::vector<const TensorView*>& parts) {
  std::vector<int64_t> shape = parts.front()->shape;
  shape[1] = 0;
  for (const TensorView* part : parts) shape[1] += part->shape[1];
  Made made(*parts.front(), shape);
  std::byte* at = made.bytes.get();
  for (int64_t row = 0; row < shape[0]; ++row) {
    for (const TensorView* part : parts) {
      const auto size = static_cast<size_t>(part->shape[1] * io::size_of(part->dtype));
      std::memcpy(at, part->bytes.data() + static_cast<size_t>(row) * size, size);
      at += size;
    }
  }
  return made.view;
}

/// Rows 0, 1, 2, 3, .. of a head become rows 0, w / 2, 1, w / 2 + 1, ..  x: [heads * w, width]
TensorView halves_paired(const TensorView& x, int64_t heads) {
  Made made(x, x.shape);
  const int64_t width = x.shape[0] / heads, half = width / 2;
  const size_t row_bytes = x.bytes.size() / static_cast<size_t>(std::max<int64_t>(x.shape[0], 1));
  for (int64_t row = 0; row < x.shape[0]; ++row) {
    const int64_t head = row / width, place = row % width;
    const int64_t from = head * width + 2 * (place % half) + place / half;
    std::memcpy(made.bytes.get() + static_cast<size_t>(row) * row_bytes,
                x.bytes.data() + static_cast<size_t>(from) * row_bytes, row_bytes);
  }
  return made.view;
}

/// Throws Error{bad_file} unless the parts differ in the dimension that is cut, and only there.
void check_parts(const std::string& name, const std::vector<const TensorView*>& parts, Cut cut) {
  const TensorView& first = *parts.front();
  const size_t dimensions = cut == Cut::none ? 1 : 2, whole = cut == Cut::rows ? 1 : 0;
  for (const TensorView* part : parts) {
    const bool fits =
        part->dtype == first.dtype && part->shape.size() == dimensions && part->shape[whole] == first.shape[whole];
    require(fits, Fault::bad_file, part->file, ": tensor ", in_quotes(name), " is ", io::name_of(part->dtype), " ",
            io::text_of(part->shape), ", which does not go together with ", io::name_of(first.dtype), " ",
            io::text_of(first.shape), " of ", first.file);
  }
}

TensorView joined(const std::vector<const TensorView*>& parts, Cut cut) {
  if (parts.size() == 1 || cut == Cut::none) return *parts.front();
  return cut == Cut::rows ? rows_joined(parts) : columns_joined(parts);
}

/// Throws Error{bad_file} unless each file has the same values.
void check_same(const std::string& name, const std::vector<const TensorView*>& parts) {
  const TensorView& first = *parts.front();
  for (const TensorView* part : parts)
    require(std::equal(part->bytes.begin(), part->bytes.end(), first.bytes.begin(), first.bytes.end()), Fault::bad_file,
            part->file, ": tensor ", in_quotes(name), " differs from that of ", first.file,
            ", and each file of one model has the same; fetch the files again");
}

/// Throws Error{bad_file} unless the files are consolidated.00, .01 and so on.
void check_numbers(const std::vector<fs::path>& files) {
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string stem = concat("consolidated.", i < 10 ? "0" : "", i);
    require(files[i].stem() == stem, Fault::bad_file, files.front().parent_path().string(), ": ", stem,
            files[i].extension().string(), " is missing; ", files[i].filename().string(), " is there");
  }
}

bool is_frequencies(const std::string& name) {
  return name == "rope.freqs" || name.ends_with(".inner_attention.rope.freqs");
}

}  // namespace

bool MetaLlama::holds(const fs::path& folder) {
  return is_there(folder / "params.json");
}

MetaLlama::MetaLlama(const fs::path& folder)
    : folder_(folder), params_(read_json_file(folder / "params.json", 1 << 20)) {
  const std::vector<fs::path> files = part_files(folder);
  check_numbers(files);
  for (const fs::path& file : files) parts_.push_back(io::Checkpoint::open(file));
}

/// The tensor in each file, in the order of the files.
std::vector<const TensorView*> MetaLlama::parts_of(const std::string& name) const {
  std::vector<const TensorView*> parts;
  for (const io::Checkpoint& part : parts_) parts.push_back(&part.at(name));
  return parts;
}

/// Of a tensor whose rows are cut over the files.
int64_t MetaLlama::rows_of(const std::string& name) const {
  const std::vector<const TensorView*> parts = parts_of(name);
  check_parts(name, parts, Cut::rows);
  int64_t rows = 0;
  for (const TensorView* part : parts) rows += part->shape[0];
  return rows;
}

Json MetaLlama::config() const {
  const JsonView params(params_, (folder_ / "params.json").string());
  for (const char* key : {"dim", "n_layers", "n_heads"})
    require(params.has(key), Fault::bad_file, params.source(), ": the key '", key, "' is missing");
  require(!params.boolean("use_scaled_rope", false), Fault::bad_file, params.source(),
          ": 'use_scaled_rope' is true, and Meta's layout is read without scaling; use the model in the layout of ",
          "transformers");
  const int64_t heads = size_in(params, "n_heads", 0, kMaxHeads), width = size_in(params, "dim", 0, plan::kMaxWidth);
  const int64_t rows = rows_of("layers.0.attention.wq.weight");
  require(rows >= width, Fault::bad_file, folder_.string(), ": its ", parts_.size(), " file(s) consolidated.* hold ",
          rows, " of the ", width, " rows of layers.0.attention.wq.weight; ", "put all files of the model there");
  constexpr int64_t kPositions = 2048;  // of the first LLaMA; no file says it
  Json config{{"model_type", "llama"},
              {"hidden_size", width},
              {"num_hidden_layers", size_in(params, "n_layers", 0, plan::kMaxLayers)},
              {"num_attention_heads", heads},
              {"num_key_value_heads", size_in(params, "n_kv_heads", heads, kMaxHeads)},
              {"intermediate_size", rows_of("layers.0.feed_forward.w1.weight")},
              {"vocab_size", rows_of("output.weight")},
              {"rms_norm_eps", number_in(params, "norm_eps", 1e-5, 0, 1)},
              {"max_position_embeddings", size_in(params, "max_seq_len", kPositions, kMaxPositions)}};
  if (params.has("rope_theta")) config["rope_theta"] = params.number("rope_theta");
  return config;
}

void MetaLlama::put(const std::string& prefix, const std::string& head, std::map<std::string, TensorView>& out) const {
  const Json config = this->config();
  const auto add = [&](const std::string& name, const Renamed& renamed, const std::string& as) {
    const std::vector<const TensorView*> parts = parts_of(name);
    check_parts(name, parts, renamed.cut);
    if (renamed.cut == Cut::none) check_same(name, parts);
    TensorView whole = joined(parts, renamed.cut);
    const bool is_key = renamed.meta.starts_with("attention.wk");
    const int64_t heads = config.at(is_key ? "num_key_value_heads" : "num_attention_heads").get<int64_t>();
    require(!renamed.turns || (whole.shape[0] > 0 && whole.shape[0] % (2 * heads) == 0), Fault::bad_file, whole.file,
            ": tensor ", in_quotes(name), " has ", whole.shape[0], " rows, which is not a multiple of 2 x ", heads,
            " heads");
    out.insert_or_assign(as, renamed.turns ? halves_paired(whole, heads) : std::move(whole));
  };
  for (const io::Checkpoint& part : parts_) {
    for (const std::string& name : part.names())
      require(is_frequencies(name) || parts_.front().contains(name), Fault::bad_file, part.path().string(),
              ": holds the tensor ", in_quotes(name), ", which ", parts_.front().path().string(), " does not");
  }
  for (const std::string& name : parts_.front().names()) {
    if (is_frequencies(name)) continue;
    const auto of_model = std::find_if(std::begin(kOfModel), std::end(kOfModel),
                                       [&](const Renamed& renamed) { return renamed.meta == name; });
    const auto of_layer = std::find_if(std::begin(kOfLayer), std::end(kOfLayer), [&](const Renamed& renamed) {
      return name.starts_with("layers.") && name.ends_with(concat(".", renamed.meta));
    });
    if (of_model != std::end(kOfModel)) {
      const bool is_head = of_model->meta == "output.weight";
      add(name, *of_model, concat(is_head ? head : prefix, of_model->hf));
    } else if (of_layer != std::end(kOfLayer)) {
      add(name, *of_layer, concat(prefix, name.substr(0, name.size() - of_layer->meta.size()), of_layer->hf));
    } else {
      out.insert_or_assign(prefix + name, *parts_of(name).front());  // the loader will not know it and say so
    }
  }
}

}  // namespace lithe::models

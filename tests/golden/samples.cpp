#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <regex>

#include "base/error.h"
#include "checkpoints/read/tensor_over.h"
#include "golden/device.h"
#include "golden/packed_batch.h"
#include "golden/sample_run.h"
#include "image/decode.h"
#include "session/prompt_rows.h"
#include "text/message.h"

namespace lithe::golden {
namespace {

/// Compares one expected tensor; `rest` is its name after "img1." or "s1.".
class Comparer {
 public:
  Comparer(SampleRun& run, Check& check) : run_(run), check_(check), tolerances_(run.golden().tolerances) {}

  void picture(const std::string& name, std::size_t i, const std::string& rest, const io::TensorView& expected) {
    const std::string file = run_.pictures().at(i);
    if (rest == "rgb") return pixels(name, file, expected);
    const models::ImageRows* const encoded = find(rest) ? &run_.encoded(file) : nullptr;
    if (rest == "pixel_values") return floats(name, expected, values_of(encoded->pixels), {"pixel_values"});
    if (rest == "vision_features") return floats(name, expected, values_of(encoded->features), kFeatures);
    if (rest == "projected") return floats(name, expected, values_of(encoded->projected), kFeatures);
    if (rest == "packed_features") return floats(name, expected, values_of(encoded->rows), kFeatures);
    if (rest == "grid_wh") {
      const image::Size grid = run_.encoded(file).views().grid;
      return check_.integers(name, integers_of(expected), {grid.width, grid.height});
    }
    if (rest == "best_resolution") {
      const image::Size size = run_.encoded(file).views().canvas.size();
      return check_.integers(name, integers_of(expected), {size.width, size.height});
    }
    if (rest == "resized_padded_rgb") return bytes(name, expected, run_.encoded(file).views().canvas);
    check_.skip("img." + rest);
  }

  void sample(const std::string& name, std::size_t i, const std::string& rest, const io::TensorView& expected) {
    static const std::regex layer(R"(layer(\d+)\.(\w+))"), packed(R"(packed_features(\d+))");
    std::smatch match;
    if (rest.starts_with(kFlatList)) return of_flat_list(name, i, rest.substr(kFlatList.size()), expected);
    if (std::regex_match(rest, match, layer)) return in_layer(name, i, match[1], match[2], expected);
    if (std::regex_match(rest, match, packed)) {
      const std::vector<std::string> pictures = run_.pictures_of(i);
      const std::string file = pictures.at(std::stoul(match[1]));
      return floats(name, expected, values_of(run_.encoded(file, pictures.size()).rows), kFeatures);
    }
    if (of_prompt(name, i, rest, expected) || of_answer(name, i, rest, expected) || of_tiles(name, i, rest, expected)) {
      return;
    }
    check_.skip("s." + rest);
  }

 private:
  static constexpr std::initializer_list<const char*> kFeatures = {"features", "hidden"};
  static constexpr std::string_view kFlatList = "flat_list.";

  static bool find(const std::string& rest) {
    return rest == "pixel_values" || rest == "vision_features" || rest == "projected" || rest == "packed_features";
  }

  void floats(const std::string& name, const io::TensorView& expected, std::span<const float> actual,
              std::initializer_list<const char*> kinds) {
    check_.floats(name, expected, actual, tolerances_.of(kinds));
  }

  void bytes(const std::string& name, const io::TensorView& expected, const image::Image& actual) {
    check_.integers(name, integers_of(expected), {actual.rgb.begin(), actual.rgb.end()});
  }

  void pixels(const std::string& name, const std::string& file, const io::TensorView& expected) {
    bytes(name, expected, image::read_image(run_.path_of(file), run_.session().decode_options()));
  }

  void in_layer(const std::string& name, std::size_t i, const std::string& layer, const std::string& what,
                const io::TensorView& expected) {
    const std::string prefix = "layers." + layer + ".";
    if (what == "hidden") {
      return floats(name, expected, run_.traced(i, prefix + "hidden").values<float>(), {"hidden"});
    }
    if (what == "router_weight") {
      return floats(name, expected, run_.traced(i, prefix + what).values<float>(), {"router", "hidden"});
    }
    if (what == "kept_all")
      return check_.integers(name, integers_of(expected), integers_of(run_.traced(i, prefix + "kept")));
    if (what == "kept_vision") {
      const std::vector<int64_t> mask = integers_of(run_.traced(i, "vision_mask"));
      std::vector<int64_t> kept = integers_of(run_.traced(i, prefix + "kept"));
      std::erase_if(kept, [&mask](int64_t row) { return mask.at(static_cast<std::size_t>(row)) == 0; });
      return check_.integers(name, integers_of(expected), kept);
    }
    check_.skip("s.layer." + what);  // router_logit: what the weight is made of
  }

  bool of_prompt(const std::string& name, std::size_t i, const std::string& rest, const io::TensorView& expected) {
    if (rest == "input_ids") {
      check_.integers(name, integers_of(expected), ids(i, integers_of(expected), run_.pictures_of(i).size()));
    } else if (rest == "attention_mask") {
      const auto rows = static_cast<std::size_t>(run_.traced(i, "inputs_embeds").shape.front());
      check_.integers(name, integers_of(expected), std::vector<int64_t>(rows, 1));
    } else if (rest == "inputs_embeds") {
      floats(name, expected, run_.traced(i, rest).values<float>(), kFeatures);
    } else if (rest == "mod_target_mask") {
      check_.integers(name, integers_of(expected), integers_of(run_.traced(i, "vision_mask")));
    } else {
      return false;
    }
    return true;
  }

  /// The prompt's ids as the case writes them: -200 at each picture, or the picture's own id once per row. Each picture
  /// is prepared as in a prompt with `among` of them.
  std::vector<int64_t> ids(std::size_t i, const std::vector<int64_t>& expected, std::size_t among) {
    const std::vector<int64_t> ours = integers_of(run_.traced(i, "input_ids"));
    const std::vector<std::string> pictures = run_.pictures_of(i);
    if (pictures.empty() || std::find(expected.begin(), expected.end(), text::kImageId) != expected.end()) return ours;
    const Json config = read_json_file(run_.model().folder / "config.json");
    const int64_t image_id = config.value("image_token_index", config.value("image_token_id", int64_t{-1}));
    std::vector<int64_t> expanded;
    std::size_t picture = 0;
    for (const int64_t id : ours) {
      if (id != text::kImageId) {
        expanded.push_back(id);
      } else {
        const int64_t rows = run_.encoded(pictures.at(picture++), among).rows.size(0);
        expanded.insert(expanded.end(), static_cast<std::size_t>(rows), image_id);
      }
    }
    return expanded;
  }

  /// The sample as transformers runs it if its pictures come as one flat list: each is prepared as if it were alone.
  void of_flat_list(const std::string& name, std::size_t i, const std::string& what, const io::TensorView& expected) {
    std::vector<models::ImageRows> pictures;
    for (const std::string& file : run_.pictures_of(i)) pictures.push_back(run_.encoded(file));
    if (what == "input_ids") {
      check_.integers(name, integers_of(expected), ids(i, integers_of(expected), 1));
    } else if (what == "pixel_values_shape") {
      std::vector<int64_t> shape = pictures.at(0).pixels.sizes().vec();
      for (const models::ImageRows& picture : pictures) shape[0] = std::max(shape[0], picture.pixels.size(0));
      shape.insert(shape.begin(), static_cast<int64_t>(pictures.size()));
      check_.integers(name, integers_of(expected), shape);
    } else if (what == "logits_last") {
      const c10::InferenceMode no_gradients;
      const session::PromptRows prompt =
          session::merge(run_.model(), integers_of(run_.traced(i, "input_ids")), pictures);
      const PackedResult result = PackedRun(run_.model(), {{prompt.embeddings, prompt.kinds}}).prefill();
      floats(name, expected, values_of(result.logits.at(0).slice(0, -1)), {"logits"});
    } else {
      check_.skip("s.flat_list." + what);
    }
  }

  bool of_answer(const std::string& name, std::size_t i, const std::string& rest, const io::TensorView& expected) {
    if (rest == "logits" || rest == "logits_tail") {
      std::span<const float> logits = run_.traced(i, "logits").values<float>();
      floats(name, expected, logits.last(std::min(logits.size(), static_cast<std::size_t>(expected.count()))),
             {"logits"});
    } else if (rest == "step_logits") {
      floats(name, expected, run_.traced(i, rest).values<float>(), {"logits"});
    } else if (rest == "greedy_tokens") {
      check_.integers(name, integers_of(expected), integers_of(run_.traced(i, "tokens")));
    } else if (rest == "hidden_states") {
      floats(name, expected, entries_and_exit(i, expected.shape.front() - 1), {"hidden"});
    } else if (rest == "final_hidden") {
      const std::string last = fmt::format("layers.{}.hidden", run_.model().decoder.blocks.size() - 1);
      const at::Tensor hidden = models::tensor_over(run_.traced(i, last));
      floats(name, expected, values_of(run_.model().decoder.norm(hidden.to(device()))), {"hidden"});
    } else if (rest == "kv_lengths") {
      std::vector<int64_t> lengths = integers_of(run_.traced(i, "kv_lengths.prefill"));
      const std::vector<int64_t> end = integers_of(run_.traced(i, "kv_lengths.end"));
      lengths.insert(lengths.end(), end.begin(), end.end());
      check_.integers(name, integers_of(expected), lengths);
    } else if (rest == "cache_len_prefill") {
      check_.integers(name, integers_of(expected), integers_of(run_.traced(i, "kv_lengths.prefill")));
    } else if (rest == "cache_len_end") {
      check_.integers(name, integers_of(expected), integers_of(run_.traced(i, "kv_lengths.end")));
    } else {
      return false;
    }
    return true;
  }

  /// What enters each layer of the decoder, and what leaves the last.  -> [layers + 1, rows, hidden]
  std::vector<float> entries_and_exit(std::size_t i, int64_t layers) {
    std::vector<float> all;
    const auto add = [&](const std::string& traced) {
      const std::span<const float> values = run_.traced(i, traced).values<float>();
      all.insert(all.end(), values.begin(), values.end());
    };
    add("inputs_embeds");
    for (int64_t layer = 0; layer < layers; ++layer) add(fmt::format("layers.{}.hidden", layer));
    return all;
  }

  /// What enters each block of the tower, and what leaves the last.  -> [blocks + 1, tiles, rows, width]
  std::vector<float> tower_entries_and_exit(const std::string& file) {
    const image::Image picture = image::read_image(run_.path_of(file), run_.session().decode_options());
    std::vector<float> all;
    const auto add = [&all](const routing::LayerReport& report) {
      const std::vector<float> values = values_of(report.hidden);
      all.insert(all.end(), values.begin(), values.end());
    };
    // Under this plan all rows skip the first block, so what it leaves is what entered it.
    const plan::Plan skips_first{.layers = {{.stream = "vision_tower", .rules = {{.keep_share = 0, .by = "uniform"}}}}};
    const routing::Observer adds_first = [&add](const routing::LayerReport& report) {
      if (report.layer == 0) add(report);
    };
    run_.model().encode_image(picture, {.plan = &skips_first, .observer = adds_first});
    run_.model().encode_image(picture, {.observer = add});
    return all;
  }

  /// Tensors over the tiles of all pictures of a sample.
  bool of_tiles(const std::string& name, std::size_t i, const std::string& rest, const io::TensorView& expected) {
    const std::vector<std::string> pictures = run_.pictures_of(i);
    if (rest == "vision_features" || rest == "projected") {
      for (std::size_t k = 0; k < pictures.size(); ++k) {
        const io::TensorView& ours = run_.traced(i, fmt::format("images.{}.{}", k, rest));
        floats(fmt::format("{} of picture {}", name, k), tiles_of(expected, k, pictures.size(), ours.shape.front()),
               ours.values<float>(), kFeatures);
      }
    } else if (rest == "pixel_values") {
      floats(name, expected, stacked(i, pictures.size(), expected), {"pixel_values"});
    } else if (rest == "pixel_values_alpha_dropped") {
      const image::Image opaque = image::read_image(run_.path_of(pictures.at(0)), {.alpha = image::Alpha::drop});
      floats(name, expected, values_of(run_.model().encode_image(opaque).pixels), {"pixel_values"});
    } else if (rest == "tower_layers" && pictures.size() == 1) {
      floats(name, expected, tower_entries_and_exit(pictures.front()), kFeatures);
    } else if (rest == "batch_num_images") {
      check_.integers(name, integers_of(expected), {static_cast<int64_t>(pictures.size())});
    } else if (rest == "image_sizes") {
      std::vector<int64_t> sizes;
      for (const std::string& picture : pictures) {
        const image::Size size = run_.encoded(picture).views().original;
        sizes.insert(sizes.end(), {size.height, size.width});
      }
      check_.integers(name, integers_of(expected), sizes);
    } else {
      return false;
    }
    return true;
  }

  /// The tiles of picture k in a tensor [pictures * tiles of the largest, ..]: those after the first `tiles` are zeros.
  static io::TensorView tiles_of(io::TensorView tensor, std::size_t k, std::size_t pictures, int64_t tiles) {
    const auto room = tensor.shape.front() / static_cast<int64_t>(pictures);
    const std::size_t tile_bytes = tensor.bytes.size() / static_cast<std::size_t>(tensor.shape.front());
    tiles = std::min(tiles, room);  // too many are then a fault of size
    tensor.bytes = tensor.bytes.subspan(k * static_cast<std::size_t>(room) * tile_bytes,
                                        static_cast<std::size_t>(tiles) * tile_bytes);
    tensor.shape.front() = tiles;
    return tensor;
  }

  /// [pictures, tiles, 3, S, S] with zeros after the tiles of smaller pictures; without tiles just stacked.
  std::vector<float> stacked(std::size_t i, std::size_t pictures, const io::TensorView& expected) {
    std::vector<float> all;
    const auto room = pictures == 0 ? 0 : static_cast<std::size_t>(expected.count()) / pictures;
    for (std::size_t k = 0; k < pictures; ++k) {
      const std::span<const float> values = run_.traced(i, fmt::format("images.{}.pixel_values", k)).values<float>();
      all.insert(all.end(), values.begin(), values.end());
      all.resize(std::max(all.size(), (k + 1) * room), 0.0F);
    }
    return all;
  }

  SampleRun& run_;
  Check& check_;
  const Tolerances& tolerances_;
};

/// Masks and packed features under another config.json: "vision_hr.s0.mod_target_mask", "maxpatch2.s1.packed_features".
bool check_changed(SampleRun& run, Check& check, const std::string& name, const io::TensorView& expected) {
  static const std::regex mask(R"((\w+)\.s(\d+)\.mod_target_mask)"),
      patches(R"(maxpatch(\d+)\.s(\d+)\.packed_features)");
  std::smatch match;
  const bool masked = std::regex_match(name, match, mask);
  if (!masked && !std::regex_match(name, match, patches)) return false;
  const std::size_t i = std::stoul(match[2]);
  const Json changes =
      masked ? Json{{"mod_target_token_type", match[1].str()}} : Json{{"max_num_patches", std::stoll(match[1])}};
  const session::Session changed = run.with_config(changes);
  if (masked) {
    std::vector<int64_t> actual;
    const session::PromptRows prompt = session::build_prompt(run.model(), run.request(i));
    for (const routing::RowKind kind : prompt.kinds) {
      actual.push_back(plan::belongs(kind, routed_group(changed.model().plan)) ? 1 : 0);
    }
    check.integers(name, integers_of(expected), actual);
  } else {
    const image::Image picture =
        image::read_image(run.path_of(run.pictures_of(i).at(0)), run.session().decode_options());
    check.floats(name, expected, values_of(changed.model().encode_image(picture).rows),
                 run.golden().tolerances.of({"features", "hidden"}));
  }
  return true;
}

std::vector<text::Message> messages_of(const Json& sample) {
  if (!sample.contains("messages")) return {text::text_message("user", sample.at("question"))};
  std::vector<text::Message> messages;
  for (const Json& item : sample.at("messages")) {
    text::Message message{.role = item.at("role"), .parts = {}};
    for (const Json& part : item.at("content")) {
      const bool image = part.at("type") == "image";
      message.parts.push_back({.kind = image ? text::Part::Kind::image : text::Part::Kind::text,
                               .text = image ? std::string() : part.at("text").get<std::string>()});
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

/// What the template makes of conversations, with and without the beginning of the next answer.
void check_template_strings(SampleRun& run, Check& check) {
  const Json& json = run.golden().json;
  if (!json.contains("template_strings")) return;
  for (std::size_t i = 0; i < json.at("template_strings").size(); ++i) {
    const Json& entry = json.at("template_strings").at(i);
    const std::string name = fmt::format("template_strings {}", i);
    try {
      check.texts(name, entry.at("prompt"),
                  run.model().prompting.render(messages_of(entry), entry.at("add_generation_prompt").get<bool>()));
    } catch (const Error& error) {
      check.fault(name + ": " + error.what());
    }
  }
}

void check_texts(SampleRun& run, Check& check, std::size_t i) {
  const Json& sample = run.sample(i);
  if (sample.contains("messages") || sample.contains("question")) {
    check.texts(fmt::format("s{} prompt", i), run.request(i).text, run.model().prompting.render(messages_of(sample)));
  }
  if (!sample.contains("greedy_text")) return;
  const std::vector<int64_t> tokens = integers_of(run.traced(i, "tokens"));
  check.texts(fmt::format("s{} greedy_text", i), sample.at("greedy_text"),
              run.model().prompting.tokenizer->decode(tokens, true));
  const session::Answer answer =
      run.session().answer(run.request(i), {.max_new_tokens = static_cast<int64_t>(tokens.size()), .ignore_eos = true});
  check.integers(fmt::format("s{} answered tokens", i), tokens, answer.tokens);
}

}  // namespace

void check_samples(SampleRun& run, Check& check) {
  static const std::regex picture(R"(img(\d+)\.(.+))"), sample(R"(s(\d+)\.(.+))");
  Comparer comparer(run, check);
  for (const auto& [name, expected] : run.golden().expected.tensors) {
    std::smatch match;
    try {
      if (std::regex_match(name, match, picture)) {
        comparer.picture(name, std::stoul(match[1]), match[2], expected);
      } else if (std::regex_match(name, match, sample)) {
        comparer.sample(name, std::stoul(match[1]), match[2], expected);
      } else if (!name.starts_with("batch.") && !check_changed(run, check, name, expected)) {
        check.skip(name);
      }
    } catch (const Error& error) {
      check.fault(name + ": " + error.what());
    }
  }
  for (std::size_t i = 0; i < run.golden().json.at("samples").size(); ++i) check_texts(run, check, i);
  check_template_strings(run, check);
}

}  // namespace lithe::golden

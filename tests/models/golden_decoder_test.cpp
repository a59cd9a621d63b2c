#include "checkpoints/read/catalogue.h"
#include "support.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

namespace lithe::models {
namespace {

using routing::RowKind;

std::vector<RowKind> kinds_of(const std::vector<int64_t>& mask) {
  std::vector<RowKind> kinds;
  for (const int64_t vision : mask) kinds.push_back(vision ? RowKind::vision : RowKind::text);
  return kinds;
}

void expect_sample(const Golden& golden, const Model& model, const std::string& sample) {
  const std::vector<int64_t> mask = golden.integers(sample + ".mod_target_mask");
  const Prefill seen = prefill(model, golden.floats(sample + ".inputs_embeds"), kinds_of(mask));
  const Tensor expected = golden.floats(sample + ".logits_tail");
  EXPECT_TRUE(close(seen.logits.narrow(0, seen.logits.size(0) - expected.size(0), expected.size(0)), expected));
  for (size_t layer = 0; layer < seen.kept.size(); ++layer) {
    SCOPED_TRACE(layer);
    const std::string name = concat(sample, ".layer", layer, ".");
    if (golden.has(name + "kept_all")) {
      EXPECT_EQ(seen.kept[layer], golden.integers(name + "kept_all"));
    } else {
      EXPECT_EQ(seen.kept[layer].size(), mask.size());
    }
    if (golden.has(name + "hidden")) {
      EXPECT_TRUE(close(seen.hidden[layer], golden.floats(name + "hidden")));
    }
    if (!golden.has(name + "router_weight")) continue;
    ASSERT_TRUE(seen.router_weight[layer].has_value());
    EXPECT_TRUE(close(*seen.router_weight[layer], golden.floats(name + "router_weight")));
  }
}

/// Ids with -200 at each picture as rows.
Tensor rows_of(const Golden& golden, const Model& model, const std::vector<int64_t>& ids,
               const std::vector<int>& pictures) {
  std::vector<Tensor> parts;
  size_t next = 0;
  for (const int64_t id : ids) {
    if (id == text::kImageId)
      parts.push_back(model.encode_image(golden.picture(concat("img", pictures[next++], ".rgb"))).rows);
    else
      parts.push_back(model.decoder.embed(at::tensor({id}, at::kLong)));
  }
  return at::cat(parts);
}

void expect_original(const std::string& name, const std::string& checkpoint,
                     const std::vector<std::vector<int>>& pictures) {
  const Golden golden(name);
  const auto model = open_model(golden.folder / checkpoint);
  for (size_t s = 0; s < pictures.size(); ++s) {
    const std::string sample = concat("s", s);
    SCOPED_TRACE(sample);
    if (!golden.has(sample + ".inputs_embeds")) continue;  // text alone: nothing to merge
    expect_sample(golden, *model, sample);
    const Tensor rows = rows_of(golden, *model, golden.integers(sample + ".input_ids"), pictures[s]);
    EXPECT_TRUE(close(rows, golden.floats(sample + ".inputs_embeds")));
  }
}

TEST(GoldenDecoder, PmodLlava15) {
  expect_original("pmod_llava15", "checkpoint", {{0}, {1}, {0, 1}, {}});
}
TEST(GoldenDecoder, PmodLlavaNext) {
  expect_original("pmod_llavanext", "checkpoint", {{0}, {1}, {2}});
}
TEST(GoldenDecoder, OriginalLlava15) {
  expect_original("liuhaotian_llava15", "checkpoint", {{0}, {1}, {0, 1}, {}});
}
TEST(GoldenDecoder, OriginalLlava15InBinShards) {
  expect_original("liuhaotian_llava15", "checkpoint_bin_sharded", {{0}, {1}, {0, 1}, {}});
}

TEST(GoldenDecoder, PmodVariants) {
  const Golden golden("pmod_variants");
  const Json read = read_json_file(golden.folder / "case.json");
  const Tensor rows = golden.floats("inputs_embeds");  // [2, 29, 16], right padded
  for (const auto& [variant, about] : read["variants"].items()) {
    SCOPED_TRACE(variant);
    auto model = open_model(golden.folder / ("checkpoint_" + variant));
    EXPECT_FALSE(model->vision);
    const bool all = about["target"] == "all";
    if (all) {  // as the case says; the published key of these models names vision tokens
      for (plan::LayerPlan& layer : model->plan.layers) layer.rules.front().group = plan::Group::all;
    }
    const std::vector<int64_t> mask = golden.integers(about["mask"].get<std::string>());
    for (int64_t row = 0; row < 2; ++row) {
      const int64_t length = read["lengths"][static_cast<size_t>(row)].get<int64_t>(), padded = rows.size(1);
      const std::vector<int64_t> own(mask.begin() + row * padded, mask.begin() + row * padded + length);
      const Prefill seen = prefill(*model, rows.select(0, row).narrow(0, 0, length).contiguous(),
                                   all ? std::vector<RowKind>(own.size()) : kinds_of(own));
      EXPECT_TRUE(close(seen.logits, golden.floats(variant + ".logits").select(0, row).narrow(0, 0, length)));
      for (size_t layer = 0; layer < seen.kept.size(); ++layer) {
        const std::string name = concat(variant, ".layer", layer, ".");
        if (!golden.has(name + "kept_all")) continue;
        std::vector<int64_t> kept = golden.integers(name + "kept_all");
        const int64_t width = golden.shape(name + "kept_all")[1];
        kept = {kept.begin() + row * width, kept.begin() + (row + 1) * width};
        std::erase(kept, -1);
        EXPECT_EQ(seen.kept[layer], kept) << "layer " << layer << ", row " << row;
        std::vector<Tensor> weights;  // of the targets
        const Tensor expected = golden.floats(name + "router_weight").select(0, row);
        for (int64_t i = 0; i < length; ++i) {
          if (own[static_cast<size_t>(i)]) weights.push_back(expected.narrow(0, i, 1));
        }
        EXPECT_TRUE(close(*seen.router_weight[layer], at::cat(weights))) << "layer " << layer << ", row " << row;
      }
    }
  }
}

/// transformers expands the image token to one id per feature.
void expect_hf(const std::string& name, const Model& model, int64_t image_token) {
  const Golden golden(name);
  for (int s = 0; s < 4; ++s) {
    const std::string sample = concat("s", s, ".");
    SCOPED_TRACE(sample);
    const std::vector<int> pictures = s < 2    ? std::vector<int>{s}
                                      : s == 2 ? std::vector<int>{0, 1}
                                               : std::vector<int>{};
    std::vector<int64_t> ids;
    size_t next = 0, rest = 0;
    for (const int64_t id : golden.integers(sample + "input_ids")) {
      if (rest > 0) {
        ASSERT_EQ(id, image_token);
        --rest;
      } else if (id == image_token) {
        ids.push_back(text::kImageId);
        rest = model.encode_image(golden.picture(concat("img", pictures[next++], ".rgb"))).kinds.size() - 1;
      } else {
        ids.push_back(id);
      }
    }
    const Tensor rows = rows_of(golden, model, ids, pictures);
    const Tensor logits = prefill(model, rows, std::vector<RowKind>(static_cast<size_t>(rows.size(0)))).logits;
    const Tensor expected = golden.floats(golden.has(sample + "logits") ? sample + "logits" : sample + "logits_tail");
    EXPECT_TRUE(close(logits.narrow(0, logits.size(0) - expected.size(0), expected.size(0)), expected));
  }
}

TEST(GoldenDecoder, HfLlava15) {
  expect_hf("hf_llava15", *open_model(golden_folder("hf_llava15") / "checkpoint"), 400);
}
TEST(GoldenDecoder, HfLlavaNext) {
  expect_hf("hf_llavanext", *open_model(golden_folder("hf_llavanext") / "checkpoint"), 400);
}

TEST(GoldenDecoder, HfLlava15Sharded) {
  TempFolder temp;
  fs::copy(golden_folder("hf_llava15") / "checkpoint_sharded", temp.path, fs::copy_options::recursive);
  fs::copy(golden_folder("hf_llava15") / "checkpoint/processor_config.json", temp.path);
  expect_hf("hf_llava15", *open_model(temp.path), 400);
}

std::string replaced(const std::string& name, const std::string& from, const std::string& to) {
  return name.starts_with(from) ? to + name.substr(from.size()) : name;
}

/// The names that transformers 5 writes.
std::string version_5(std::string name) {
  name = replaced(name, "language_model.model.", "model.language_model.");
  name = replaced(name, "language_model.lm_head.", "lm_head.");
  name = replaced(name, "vision_tower.vision_model.", "model.vision_tower.");
  name = replaced(name, "multi_modal_projector.", "model.multi_modal_projector.");
  return name == "image_newline" ? "model.image_newline" : name;
}

TEST(GoldenDecoder, HfNamesOfVersion5) {
  for (const char* name : {"hf_llava15", "hf_llavanext"}) {
    TempFolder temp;
    fs::copy(golden_folder(name) / "checkpoint", temp.path, fs::copy_options::recursive);
    fs::copy(temp.path / "config.v5.json", temp.path / "config.json", fs::copy_options::overwrite_existing);
    edit_tensors(temp.path / "model.safetensors", [](auto& tensors) {
      std::map<std::string, io::TensorView> renamed;
      for (const auto& [old, view] : tensors) renamed[version_5(old)] = view;
      tensors = renamed;
    });
    expect_hf(name, *open_model(temp.path), 400);
  }
}

}  // namespace
}  // namespace lithe::models

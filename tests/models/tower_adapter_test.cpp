// EAS's adapters in the vision tower: features against plain products, from every place that may hold them.
#include <ATen/ops/cat.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "checkpoints/read/catalogue.h"
#include "checkpoints/write/converting.h"
#include "models/tower_adapters.h"
#include "support.h"

namespace lithe::models {
namespace {

const std::string kPrefix = "vision_tower.vision_model.";

/// hf_llavanext, whose pictures have several tiles, with adapters in its tower.
fs::path adapted_folder(const TempFolder& temp) {
  const fs::path folder = temp.path / "adapted";
  fs::copy(golden_folder("hf_llavanext") / "checkpoint", folder);
  test::put_tower_adapters(folder / "model.safetensors", kPrefix, 32);
  return folder;
}

/// The tower written out, tile by tile, from the tensors of a file.
class PlainTower {
 public:
  PlainTower(const fs::path& file, std::string prefix, const VisionTowerConfig& config)
      : file_(io::open_safetensors(file)), prefix_(std::move(prefix)), config_(config) {}

  /// x: [tokens, width], after the first norm -> the same, after the last block that runs
  Tensor blocks(Tensor x) const {
    for (int64_t layer = 0; layer < config_.layers_run; ++layer) {
      const std::string name = concat("encoder.layers.", layer, ".");
      const Tensor h = norm(x, name + "layer_norm1");
      if (layer == 1) {
        const Tensor u = 0.5 * (product(h, name + "replaced_adapter.conv_C") +
                                product(h, name + "replaced_adapter.conv_A").mean(0, true));
        const Tensor y = h + up(u, h, name + "replaced_adapter.");
        x = x + mlp(y * weight(name + "layer_norm2.weight") + weight(name + "layer_norm2.bias"), name);
        continue;
      }
      const Tensor y = layer > 0 ? h : h + up(product(h, name + "adapter_attn.conv_A"), h, name + "adapter_attn.");
      x = x + attention(y, name + "self_attn.");
      x = x + mlp(norm(x, name + "layer_norm2"), name);
    }
    return x;
  }

 private:
  Tensor weight(const std::string& name) const { return tensor_over(file_.tensors.at(prefix_ + name)); }
  Tensor matrix(const std::string& name) const {
    const Tensor stored = weight(name);
    return stored.view({stored.size(0), stored.size(1)});
  }
  Tensor product(const Tensor& x, const std::string& name) const {
    return at::linear(x, matrix(name + ".weight"), weight(name + ".bias"));
  }
  Tensor norm(const Tensor& x, const std::string& name) const {
    return at::layer_norm(x, {config_.width}, weight(name + ".weight"), weight(name + ".bias"), config_.norm_eps);
  }
  Tensor mlp(const Tensor& x, const std::string& name) const {
    const Tensor inner = product(x, name + "mlp.fc1");
    return product(inner * at::sigmoid(1.702 * inner), name + "mlp.fc2");
  }
  Tensor grouped(const Tensor& u, const std::string& name) const {
    const Tensor whole = matrix(name + ".weight");
    const int64_t rows = whole.size(0) / 2, columns = whole.size(1);
    const auto half = [&](int64_t i) {
      return at::linear(u.narrow(1, i * columns, columns), whole.narrow(0, i * rows, rows));
    };
    return at::cat({half(0), half(1)}, 1) + weight(name + ".bias");
  }
  Tensor up(const Tensor& u, const Tensor& h, const std::string& name) const {
    const Tensor gate = at::softmax(product(h.mean(0, true), name + "expert_weights") / 10.0, 1);
    return gate.select(1, 0) * grouped(u, name + "conv_B") + gate.select(1, 1) * grouped(u, name + "conv_D");
  }
  Tensor attention(const Tensor& y, const std::string& name) const {
    const Tensor q = product(y, name + "q_proj"), k = product(y, name + "k_proj"), v = product(y, name + "v_proj");
    const int64_t width = config_.width / config_.heads;
    std::vector<Tensor> heads;
    for (int64_t head = 0; head < config_.heads; ++head) {
      const auto own = [&](const Tensor& all) { return all.narrow(1, head * width, width); };
      const Tensor given = at::softmax(own(q).matmul(own(k).t()) / std::sqrt(double(width)), 1);
      heads.push_back(given.matmul(own(v)));
    }
    return product(at::cat(heads, 1), name + "out_proj");
  }

  io::SafetensorsFile file_;
  std::string prefix_;
  VisionTowerConfig config_;
};

/// What enters block 0 of every tile: a tower of no blocks.
Tensor entry_of(const Model& model, const Tensor& pixels) {
  VisionTower bare = model.vision->tower;
  bare.blocks.clear();
  bare.config.keep_class_token = true;
  return bare.features(pixels);
}

image::Image picture() {
  return Golden("hf_llavanext").picture("img0.rgb");
}

TEST(TowerAdapters, FeaturesEqualPlainProducts) {
  const TempFolder temp;
  const fs::path folder = adapted_folder(temp);
  const auto model = open_model(folder), without = open_model(golden_folder("hf_llavanext") / "checkpoint");
  const ImageRows rows = model->encode_image(picture());
  const PlainTower plain(folder / "model.safetensors", kPrefix, model->vision->tower.config);
  const Tensor entry = entry_of(*model, rows.pixels);
  ASSERT_GT(entry.size(0), 1);  // tiles with gates of their own
  std::vector<Tensor> expected;
  for (int64_t tile = 0; tile < entry.size(0); ++tile)
    expected.push_back(plain.blocks(entry[tile]).narrow(0, 1, entry.size(1) - 1));
  EXPECT_TRUE(close(rows.features, at::stack(expected), 2e-5, 1e-5));
  EXPECT_FALSE(close(rows.features, without->encode_image(picture()).features));
}

TEST(TowerAdapters, AreDeclaredAndCounted) {
  const TempFolder temp;
  const auto model = open_model(adapted_folder(temp));
  ASSERT_EQ(model->facts.fixed.size(), 1u);
  EXPECT_TRUE(model->facts.is_fixed("vision_tower", 1, "self"));
  ASSERT_EQ(model->facts.adapters.size(), 2u);
  const int64_t w = 32, r = test::kTowerRank, up = 2 * (w * r / 2 + w), gate = 2 * w + 2;
  EXPECT_EQ(model->facts.parameters->adapters, (r * w + r + up + gate) + (2 * (r * w + r) + up + gate));
  EXPECT_FALSE(model->plan.find("vision_tower", 1)->self_attention);
}

/// Trained beside a tower that is not: the adapters lie in the model's checkpoint, the tower in its own folder.
TEST(TowerAdapters, LieBesideATowerOfItsOwn) {
  const TempFolder temp;
  const fs::path source = golden_folder("llava_eas") / "checkpoint", own = temp.path / "own",
                 beside = temp.path / "beside";
  for (const fs::path& folder : {own, beside}) {
    convert_folder(source, folder, TargetLayout::same);
    edit_tensors(folder / "model.safetensors", [](auto& tensors) {
      std::erase_if(tensors, [](const auto& entry) { return entry.first.find("vision_tower") != std::string::npos; });
    });
  }
  test::put_tower_adapters(own / "vision_tower/model.safetensors", "vision_model.", 32);
  test::put_tower_adapters(beside / "model.safetensors", "model.vision_tower.vision_tower.vision_model.", 32);
  const ImageRows a = open_model(own)->encode_image(picture()), b = open_model(beside)->encode_image(picture());
  EXPECT_TRUE(close(a.rows, b.rows, 0, 0));
  EXPECT_FALSE(close(a.rows, open_model(source)->encode_image(picture()).rows));
}

TEST(TowerAdapters, OutliveAConversion) {
  const TempFolder temp;
  const fs::path folder = adapted_folder(temp), original = temp.path / "original", back = temp.path / "back";
  convert_folder(folder, original, TargetLayout::original);
  convert_folder(original, back, TargetLayout::hf);
  const ImageRows rows = open_model(folder)->encode_image(picture());
  for (const fs::path& converted : {original, back})
    EXPECT_TRUE(close(open_model(converted)->encode_image(picture()).rows, rows.rows, 0, 0)) << converted;
}

TEST(TowerAdapters, HalfAnAdapterIsRefused) {
  const TempFolder temp;
  const fs::path folder = adapted_folder(temp);
  edit_tensors(folder / "model.safetensors",
               [](auto& tensors) { tensors.erase(kPrefix + "encoder.layers.0.adapter_attn.conv_B.weight"); });
  EXPECT_NE(refusal([&] {
              open_model(folder);
            }).find("the vision_tower's adapter encoder.layers.0.adapter_attn.* has no conv_B.weight"),
            std::string::npos);
}

TEST(TowerAdapters, AFixedSiteOutsideTheTowerIsRefused) {
  const TempFolder temp;
  const fs::path folder = adapted_folder(temp);
  edit_json(folder / "config.json",
            [](Json& config) { config["fixed_sites"] = Json::parse(R"([{"stream": "vision_tower", "layer": 3}])"); });
  EXPECT_NE(refusal([&] { open_model(folder); }).find("layer 3 of the stream vision_tower, which has layers 0 to 2"),
            std::string::npos);
}

}  // namespace
}  // namespace lithe::models

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>

#include "base/error.h"
#include "io/safetensors.h"
#include "ops/tensor_support.h"
#include "routing/executor.h"

// Qwen2.5-VL as published over the one executor: window attention in a tower, places on several axes in a decoder.
namespace lithe::routing {
namespace {

using test::expect_close;

class Qwen : public ::testing::Test {
 protected:
  Tensor floats(const std::string& name) const {
    const io::TensorView& view = file_.tensors.at(name);
    return at::from_blob(const_cast<float*>(view.values<float>().data()), view.shape, at::kFloat).clone();
  }

  std::vector<int64_t> integers(const std::string& name) const {
    const auto values = file_.tensors.at(name).values<int32_t>();
    return {values.begin(), values.end()};
  }

  /// Rows [first, first + rows) of a product, all of them without a number.
  nn::Linear linear(const std::string& name, int64_t first = 0, int64_t rows = -1) const {
    const auto part = [&](const std::string& tensor) {
      const Tensor whole = floats(tensor);
      return rows < 0 ? whole : whole.narrow(0, first, rows).contiguous();
    };
    const bool has_bias = file_.tensors.contains(name + ".bias");
    return {part(name + ".weight"), has_bias ? std::optional<Tensor>(part(name + ".bias")) : std::nullopt};
  }

  nn::Norm norm(const std::string& name) const {
    return {.kind = nn::Norm::Kind::rms, .gain = floats(name + ".weight"), .bias = std::nullopt, .eps = 1e-6};
  }

  Site feeds(const std::string& layer, const std::string& norm_name) const {
    const nn::Mlp mlp{linear(layer + "mlp.gate_proj"), linear(layer + "mlp.up_proj"), linear(layer + "mlp.down_proj")};
    return {.kind = Site::Kind::feed_forward, .norm = norm(layer + norm_name), .branch = mlp};
  }

  Block tower_block(int64_t number, const std::optional<size_t>& cut) const {
    const std::string layer = concat("visual.blocks.", number, "."), qkv = layer + "attn.qkv";
    nn::Attention attention{
        linear(qkv, 0, 32), linear(qkv, 32, 32), linear(qkv, 64, 32), linear(layer + "attn.proj"), 2, 2, 16};
    attention.causal = false;
    Site self{.kind = Site::Kind::self, .norm = norm(layer + "norm1"), .branch = attention};
    self.cut = cut;
    return {{self, feeds(layer, "norm2")}, std::nullopt};
  }

  Block decoder_block(int64_t number) const {
    const std::string layer = concat("model.layers.", number, "."), self = layer + "self_attn.";
    const nn::Attention attention{
        linear(self + "q_proj"), linear(self + "k_proj"), linear(self + "v_proj"), linear(self + "o_proj"), 2, 1, 16};
    return {{{.kind = Site::Kind::self, .norm = norm(layer + "input_layernorm"), .branch = attention},
             feeds(layer, "post_attention_layernorm")},
            std::nullopt};
  }

  const io::SafetensorsFile file_ = io::open_safetensors(LITHE_TEST_DATA "/qwen2_5_vl/layers.safetensors");
};

TEST_F(Qwen, TheTowerAttendsWithinWindowsThatLieScattered) {
  const at::NoGradGuard no_gradient;
  const std::vector<int64_t> grid = integers("s0.image_grid_thw"), cells = integers("s0.window_index"),
                             borders = integers("s0.cu_window_seqlens");
  const int64_t patches = grid[1] * grid[2], across = grid[2] / 2;
  ASSERT_EQ(patches, 160);
  // The published code sorts the patches by window. Here they stay as the picture gives them, cell by cell.
  std::vector<int64_t> sorted;
  for (const int64_t cell : cells)
    for (int64_t patch = 0; patch < 4; ++patch) sorted.push_back(4 * cell + patch);
  Batch batch;
  batch.cuts.emplace_back(static_cast<size_t>(patches));
  for (size_t window = 0; window + 1 < borders.size(); ++window)
    for (int64_t i = borders[window]; i < borders[window + 1]; ++i)
      batch.cuts[0][static_cast<size_t>(sorted[static_cast<size_t>(i)])] = static_cast<int64_t>(window);
  Places places(2);
  for (int64_t patch = 0; patch < patches; ++patch) {
    const int64_t cell = patch / 4;
    places[0].push_back(cell / across * 2 + patch % 4 / 2);
    places[1].push_back(cell % across * 2 + patch % 2);
  }
  batch.add({}, std::vector(static_cast<size_t>(patches), RowKind::vision), 0, places);
  batch.angles = ops::rope_angles({.head_dim = 16, .sections = {4, 4}, .layout = ops::RopeConfig::Layout::own_ladder},
                                  batch.places);

  const Tensor recorded = floats("s0.tower_layers"), index = at::tensor(at::ArrayRef<int64_t>(sorted), at::kLong);
  Tensor x = floats("s0.patch_embed");
  expect_close(x.index_select(0, index), recorded[0], 0.0, "patches by window");
  Executor executor(std::move(batch), "vision_tower", 4);
  for (int64_t layer = 0; layer < 4; ++layer) {
    const bool whole = layer % 2 == 1;
    x = executor.run(tower_block(layer, whole ? std::nullopt : std::optional<size_t>(0)), layer, x);
    expect_close(x.index_select(0, index), recorded[layer + 1], 2e-4, concat("block ", layer));
  }
}

TEST_F(Qwen, TheDecoderTurnsByTimeRowAndColumn) {
  const at::NoGradGuard no_gradient;
  const Tensor recorded = floats("s2.hidden_states");
  const std::vector<int64_t> ids = integers("s2.position_ids");
  Tensor x = floats("s2.inputs_embeds");
  const auto rows = static_cast<std::ptrdiff_t>(x.size(0));
  Places places;
  for (int axis = 0; axis < 3; ++axis) places.emplace_back(ids.begin() + axis * rows, ids.begin() + (axis + 1) * rows);
  Batch batch;
  batch.add({}, std::vector(static_cast<size_t>(rows), RowKind::text), 0, places);
  batch.angles = ops::rope_angles({.theta = 1e6, .head_dim = 16, .sections = {2, 3, 3}}, batch.places);
  Executor executor(std::move(batch), "decoder", 3);
  for (int64_t layer = 0; layer < 3; ++layer) {
    x = executor.run(decoder_block(layer), layer, x);
    expect_close(x, recorded[layer + 1], 2e-4, concat("layer ", layer));
  }
}

}  // namespace
}  // namespace lithe::routing

#include "models/parts/weight_name.h"

#include <set>

#include "checkpoints/read/catalogue.h"
#include "support.h"

namespace lithe::models {
namespace {

TEST(WeightName, IsSpeltAsCheckpointsDo) {
  const WeightName layer{.part = Part::decoder, .layer = 3}, tower{.part = Part::tower, .layer = 11};
  EXPECT_EQ(text_of(layer.with(Role::query)), "layers.3.self_attn.q_proj.weight");
  EXPECT_EQ(text_of(layer.with(Role::down).with(Kind::factor_b)), "layers.3.mlp.down_proj.lora_B.weight");
  EXPECT_EQ(text_of(layer.with(Adapter::pia).with(Role::own)), "layers.3.replaced_adapter.conv_C.weight");
  EXPECT_EQ(text_of(layer.with(Adapter::rep)), "layers.3.adapter_attn");
  EXPECT_EQ(text_of(tower.with(Role::output).with(Kind::bias)), "encoder.layers.11.self_attn.out_proj.bias");
  EXPECT_EQ(text_of({.part = Part::tower, .role = Role::class_embedding}), "embeddings.class_embedding");
  EXPECT_EQ(text_of({.part = Part::projector, .layer = 1, .role = Role::product, .kind = Kind::bias}), "1.bias");
  EXPECT_EQ(text_of(kNewline), "image_newline");
}

/// Every weight of models with routers, with both adapters of EAS and with a newline.
TEST(WeightName, IsReadAsItIsSpelt) {
  for (const char* golden : {"pmod_llavanext", "llava_eas", "hf_llavanext"}) {
    const auto model = open_model(golden_folder(golden) / "checkpoint");
    std::set<std::string> texts;
    visit(*model, [&](const HeldWeight& held) {
      const std::string text = text_of(held.name);
      EXPECT_TRUE(weight_named(text) == held.name) << text;
      EXPECT_TRUE(texts.insert(text).second) << text << " comes twice";
    });
    EXPECT_GT(texts.size(), 50u);
  }
}

TEST(WeightName, OtherNamesAreNone) {
  for (const char* text :
       {"", "weight", "layers", "layers.", "layers.3", "layers.3.", "layers.x.router.weight", "layers.-1.router.weight",
        "layers.3.router", "layers.3.self_attn.rotary_emb.inv_freq", "layers.3.self_attn.q_projweight",
        "layers.3.adapter_attnconv_A.weight", "layers.99999999999999999999.router.weight", "adapter_attn.conv_A.weight",
        "encoder.layers.3.mlp.gate_proj.weight", "image_newline.weight", "0.scale", "3"})
    EXPECT_FALSE(weight_named(text)) << text;
}

}  // namespace
}  // namespace lithe::models

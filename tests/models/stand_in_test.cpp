// Folders whose layers hold an attention and the PIA that can stand in for it.
#include <algorithm>

#include "checkpoints/read/catalogue.h"
#include "models/both_folder.h"
#include "models/training.h"
#include "plan/cost.h"
#include "plan/parse.h"
#include "plan/validate.h"

namespace lithe::models {
namespace {

class BothFolder : public ::testing::Test {
 protected:
  BothFolder() { test::write_both(folder()); }
  fs::path folder() const { return temp_.path / "both"; }

  void expect_refusal(const std::string& part) const {
    const std::string said = refusal([&] { open_model(folder()); });
    EXPECT_NE(said.find(part), std::string::npos) << said;
  }

  static plan::Plan plan_with(const Model& model, const std::vector<int64_t>& off) {
    return plan::parse_plan(Json{{"method", "eas"}, {"layers", off}}, "test", model.facts);
  }

  TempFolder temp_;
};

TEST_F(BothFolder, AreReadBesideTheirAttentions) {
  const auto model = open_model(folder());
  EXPECT_TRUE(model->facts.fixed.empty());
  EXPECT_EQ(model->facts.adapters.size(), 12u);
  EXPECT_EQ(std::count_if(model->facts.adapters.begin(), model->facts.adapters.end(),
                          [](const plan::AdapterFacts& adapter) { return adapter.replaces_attention; }),
            6);
  for (const routing::Block& block : model->decoder.blocks) {
    ASSERT_EQ(block.sites.size(), 2u);
    EXPECT_TRUE(block.sites[0].adapter);
    ASSERT_TRUE(block.sites[1].stand_in && block.sites[1].stand_in->pia);
    EXPECT_TRUE(block.sites[1].stand_in->norm->gain.is_same(block.sites[0].norm.gain));
    EXPECT_TRUE(block.sites[1].stand_in->pia->gain->is_same(block.sites[1].norm.gain));
  }
}

TEST_F(BothFolder, AreCountedOnce) {
  const auto model = open_model(folder());
  const io::SafetensorsFile file = io::open_safetensors(folder() / "model.safetensors");
  int64_t numbers = 0, tower = 0;
  for (const auto& [name, view] : file.tensors) numbers += name.find("vision_tower") == name.npos ? view.count() : 0;
  visit(*model, [&](const HeldWeight& held) { tower += held.name.part == Part::tower ? held.weight.count() : 0; });
  EXPECT_EQ(model->facts.parameters->total(), numbers + tower);
}

TEST_F(BothFolder, CostWhatThePlanRuns) {
  const auto model = open_model(folder());
  const plan::PromptShape prompt = plan::prompt_of(model->facts, 9, 20);
  const plan::AdapterCost all_on = plan::cost({}, model->facts, prompt).adapters,
                          all_off = plan::cost(plan_with(*model, {0, 1, 2, 3, 4, 5}), model->facts, prompt).adapters,
                          one_off = plan::cost(plan_with(*model, {1}), model->facts, prompt).adapters;
  EXPECT_EQ(all_on.replacing, 0);
  EXPECT_EQ(all_off.before, 0);
  EXPECT_GT(one_off.replacing, 0);
  EXPECT_LT(one_off.replacing, all_off.replacing);
  EXPECT_LT(one_off.before, all_on.before);
}

TEST_F(BothFolder, RunIfNoPlanSaysOtherwise) {
  EXPECT_EQ(open_model(folder())->plan.layers, plan_with(*open_model(folder()), {0, 1, 2, 3, 4, 5}).layers);
  write_text(folder() / "plan.json", R"({"method": "eas", "layers": [1, 4]})");
  EXPECT_EQ(open_model(folder())->plan.layers, plan_with(*open_model(folder()), {1, 4}).layers);
  write_text(folder() / "plan.json", R"({"layers": []})");
  EXPECT_TRUE(open_model(folder())->plan.layers.empty());
}

TEST_F(BothFolder, AFolderWithoutAnAttentionRefusesAPlanThatAsksForIt) {
  test::drop(folder(), {3}, {"self_attn.", "adapter_attn."});
  const auto model = open_model(folder());
  EXPECT_TRUE(model->facts.is_fixed("decoder", 3, "self"));
  const auto ask = [&](const std::vector<int64_t>& off) {
    return refusal([&] { plan::validate(plan_with(*model, off), model->facts); });
  };
  EXPECT_EQ(ask({3}), "");
  EXPECT_EQ(ask({0, 3}), "");
  EXPECT_NE(ask({0}).find("decoder layer 3: its self-attention has no weights"), std::string::npos);
  write_text(folder() / "plan.json", R"({"layers": []})");
  expect_refusal("decoder layer 3: its self-attention has no weights");
}

TEST_F(BothFolder, HalfAnAttentionIsRefused) {
  test::drop(folder(), {3}, {"self_attn.k_proj"});
  expect_refusal("missing 1: model.layers.3.self_attn.k_proj.weight");
}

TEST_F(BothFolder, NeedTheNormThatTheAttentionNeeds) {
  test::drop(folder(), {3}, {"post_attention_layernorm"});
  expect_refusal("missing 1: model.layers.3.post_attention_layernorm.weight");
}

TEST_F(BothFolder, AnAttentionThatTheConfigDeclaresFixedIsNotExpected) {
  edit_json(folder() / "config.json", [](Json& config) { config["fixed_sites"] = Json::parse(R"([{"layer": 3}])"); });
  expect_refusal("unexpected 11: model.layers.3.adapter_attn.");
}

TEST_F(BothFolder, OutliveAConversion) {
  write_text(folder() / "plan.json", R"({"method": "eas", "layers": [1, 4]})");
  const fs::path hf = temp_.path / "hf", back = temp_.path / "back";
  convert_folder(folder(), hf, TargetLayout::hf);
  convert_folder(hf, back, TargetLayout::original);
  const Tensor expected = logits_of_text(*open_model(folder()));
  for (const fs::path& converted : {hf, back}) {
    const auto model = open_model(converted);
    EXPECT_EQ(model->plan.layers, open_model(folder())->plan.layers);
    EXPECT_EQ(model->facts.adapters.size(), 12u);
    EXPECT_TRUE(close(logits_of_text(*model), expected, 0, 0)) << converted;
  }
  const io::SafetensorsFile a = io::open_safetensors(folder() / "model.safetensors"),
                            b = io::open_safetensors(back / "model.safetensors");
  for (const auto& [name, view] : a.tensors) {
    if (name.find("vision_tower") != name.npos) continue;
    ASSERT_TRUE(b.tensors.contains(name)) << name;
    EXPECT_TRUE(std::equal(view.bytes.begin(), view.bytes.end(), b.tensors.at(name).bytes.begin())) << name;
  }
}

/// p-MoD's keys cannot say which attentions are off: they stand for a plan only if a reader turns off the same ones.
TEST_F(BothFolder, KeysOfPModStandForThePlanOnlyIfAReaderTurnsOffTheSame) {
  const fs::path original = temp_.path / "p-mod", hf = temp_.path / "hf", back = temp_.path / "back";
  convert_folder(golden_folder("pmod_llava15") / "checkpoint", original, TargetLayout::same);
  fs::copy(golden_folder("pmod_llava15") / "vision_tower", original / "vision_tower");
  const auto plain = open_model(original);
  test::PeftFolder made;  // for its random tensors
  test::put_adapter(made, "model.layers.0.replaced_adapter.", plain->decoder.config.hidden, true);
  made.add_to(original / "model.safetensors");
  ASSERT_FALSE(plain->plan.find("decoder", 0));  // no router, so its names are those of a plain layer
  const plan::Plan plan = open_model(original)->plan;
  EXPECT_FALSE(plan.find("decoder", 0)->self_attention);
  convert_folder(original, hf, TargetLayout::hf);
  EXPECT_EQ(open_model(hf)->plan.layers, plan.layers);
  convert_folder(hf, back, TargetLayout::original);
  EXPECT_FALSE(fs::exists(back / "plan.json"));
  EXPECT_EQ(open_model(back)->plan.layers, plan.layers);

  plan::Plan attends = plan;
  attends.layers.erase(attends.layers.begin());
  write_text(hf / "plan.json", plan::to_json(attends).dump());
  fs::remove_all(back);
  convert_folder(hf, back, TargetLayout::original);
  EXPECT_EQ(open_model(back)->plan.layers, attends.layers);
}

/// LoRA of a product that one plan runs and another does not.
TEST_F(BothFolder, LoraOfAnAttentionRunsWithIt) {
  test::PeftFolder peft;
  for (const char* product : {"q_proj", "k_proj", "v_proj", "o_proj"})
    peft.add(std::string("model.layers.2.self_attn.") + product, 40, 40);
  peft.write(temp_.path / "adapter");
  auto plain = open_model(folder()), adapted = open_model(folder(), {.lora = temp_.path / "adapter"});
  EXPECT_EQ(adapted->loaded.lora->products, 4);
  EXPECT_TRUE(close(logits_of_text(*adapted), logits_of_text(*plain), 0, 0)) << "all attentions are off";
  plain->plan = adapted->plan = plan_with(*plain, {0, 1});
  EXPECT_FALSE(close(logits_of_text(*adapted), logits_of_text(*plain)));
}

}  // namespace
}  // namespace lithe::models

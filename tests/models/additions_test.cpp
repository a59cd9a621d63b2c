// Adapters and routers that training adds to a dense model.
#include "models/additions.h"

#include <ATen/ops/abs.h>
#include <ATen/ops/linspace.h>

#include <cmath>
#include <limits>
#include <list>

#include "base/json.h"
#include "checkpoints/read/catalogue.h"
#include "models/training.h"

namespace lithe::models {
namespace {

const NewAdapters kSmall{.rep_rank = 4, .pia_rank = 6, .seed = 3};

TEST(Additions, AttentionsAnswerAsBeforeAndPiasStandInForThem) {
  const auto dense = open_model(kHf), model = open_model(kHf);
  add_adapters(*model, kSmall);
  EXPECT_TRUE(model->facts.fixed.empty());
  EXPECT_EQ(model->facts.adapters.size(), 2 * model->decoder.blocks.size());
  EXPECT_EQ(model->plan, dense->plan);
  EXPECT_TRUE(close(logits_of_text(*model), logits_of_text(*dense), 1e-5, 1e-5));
  model->plan = parsed(*model, R"({"method": "eas", "layers": [0, 2]})");
  EXPECT_FALSE(close(logits_of_text(*model), logits_of_text(*dense)));
}

/// A weight of an adapter, as an optimiser takes it.
Tensor leaf_at(const WeightSlot& slot) {
  if (const auto* const* matrix = std::get_if<nn::Weight*>(&slot.place)) return (*matrix)->learning().value();
  return *std::get<Tensor*>(slot.place);
}

bool is_up(const WeightName& name) {
  return name.role == Role::path1 || name.role == Role::path2;
}

TEST(Additions, BeginAsPublished) {
  const auto model = open_model(kHf);
  add_adapters(*model, kSmall);
  int64_t seen = 0;
  visit(model->decoder, [&](const WeightSlot& slot) {
    const WeightName& name = slot.name;
    if (name.adapter == Adapter::none) return;
    ++seen;
    const Tensor values = leaf_at(slot);
    EXPECT_TRUE(values.is_leaf() && values.requires_grad()) << text_of(name);
    const bool is_zero = name.kind == Kind::bias || (name.adapter == Adapter::rep && is_up(name));
    const double in = static_cast<double>(slot.shape.back()), out = static_cast<double>(slot.shape.front()),
                 bound = name.role == Role::adapter_gate ? 1 / std::sqrt(in) : std::sqrt(6 / (in + out));
    const auto least = values.min().item<double>(), most = values.max().item<double>();
    if (is_zero) {
      EXPECT_TRUE(least == 0 && most == 0) << text_of(name);
    } else {  // both ends of the range are near, so the numbers are of no other size
      EXPECT_TRUE(most < bound && most > 0.8 * bound) << text_of(name) << " " << most;
      EXPECT_TRUE(least > -bound && least < -0.8 * bound) << text_of(name) << " " << least;
    }
  });
  EXPECT_EQ(seen, static_cast<int64_t>(model->decoder.blocks.size()) * (7 + 10));
}

TEST(Additions, OfOneSeedAreEqual) {
  const auto own_of = [](uint64_t seed, int64_t layer) {
    const auto model = open_model(kHf);
    NewAdapters wanted = kSmall;
    wanted.seed = seed;
    add_adapters(*model, wanted);
    const routing::Block& block = model->decoder.blocks[static_cast<size_t>(layer)];
    return block.sites[1].stand_in->pia->own.weight.widened(at::kFloat).detach().clone();
  };
  EXPECT_TRUE(own_of(1, 0).equal(own_of(1, 0)));
  EXPECT_FALSE(own_of(1, 0).equal(own_of(2, 0)));
  EXPECT_FALSE(own_of(1, 0).equal(own_of(1, 1)));
}

TEST(Additions, LearnUnderThePlanThatRunsThem) {
  const auto model = open_model(kHf);
  add_adapters(*model, {.reps = {{1, 2}}, .pias = {{1, 2}}, .rep_rank = 4, .pia_rank = 6});
  EXPECT_TRUE(eas_of(model->decoder.config.eas, 1).holds_both());
  EXPECT_FALSE(eas_of(model->decoder.config.eas, 0).pia);
  model->plan = parsed(*model, R"({"method": "eas", "layers": [2]})");
  logits_of_text(*model).square().mean().backward();
  visit(model->decoder, [&](const WeightSlot& slot) {
    const WeightName& name = slot.name;
    if (name.adapter == Adapter::none) return;
    const bool runs = (name.adapter == Adapter::pia) == (name.layer == 2);
    const Tensor gradient = leaf_at(slot).grad();
    EXPECT_EQ(gradient.defined(), runs) << text_of(name);
    // A RepAdapter's way up begins at 0, so nothing reaches what is before it yet.
    if (runs && (name.adapter == Adapter::pia || is_up(name))) {
      EXPECT_GT(gradient.abs().max().item<double>(), 0) << text_of(name);
    }
  });
}

/// The weights under their names, beside those of the folder.
void save(Model& model, const fs::path& folder) {
  const fs::path file = folder / "model.safetensors";
  const io::SafetensorsFile dense = io::open_safetensors(file);
  std::map<std::string, io::TensorView> tensors = dense.tensors;
  std::list<std::vector<float>> values;
  visit(model.decoder, [&](const WeightSlot& slot) {
    if (model.loaded.origins.contains(slot.name)) return;
    const Tensor whole = leaf_at(slot).detach().contiguous();
    const float* data = whole.const_data_ptr<float>();
    values.emplace_back(data, data + whole.numel());
    tensors["language_model.model." + text_of(slot.name)] = io::tensor_of<float>(slot.shape, values.back());
  });
  fs::remove(file);
  io::write_safetensors(file, {tensors.begin(), tensors.end()});
}

TEST(Additions, MakeAFolderThatOpensAsTheSameModel) {
  const TempFolder temp;
  const fs::path folder = temp.path / "grown";
  fs::copy(kHf, folder, fs::copy_options::recursive);
  const auto model = open_model(kHf);
  NewAdapters wanted = kSmall;
  wanted.scale = 0.5;
  wanted.temperature = 3;
  add_adapters(*model, wanted);
  add_routers(*model, {{1, 2}});
  save(*model, folder);
  edit_json(folder / "config.json", [](Json& config) { config["eas"] = {{"scale", 0.5}, {"temperature", 3.0}}; });
  write_text(folder / "plan.json", R"({"method": "eas", "layers": [0, 2]})");
  const auto read = open_model(folder);
  EXPECT_EQ(read->facts.routers, model->facts.routers);
  EXPECT_EQ(read->facts.parameters->total(), model->facts.parameters->total());
  EXPECT_EQ(read->loaded.bytes, model->loaded.bytes);
  model->plan = read->plan;
  EXPECT_TRUE(close(logits_of_text(*read), logits_of_text(*model), 1e-5, 1e-5));
}

TEST(Additions, AScaleIsMoreThanZero) {
  for (const double scale : {0.0, -1.0, std::numeric_limits<double>::infinity(), std::nan("")}) {
    const auto model = open_model(kHf);
    NewAdapters wanted = kSmall;
    wanted.scale = scale;
    EXPECT_THROW(add_adapters(*model, wanted), Error) << scale;
  }
  const TempFolder temp;
  const fs::path folder = temp.path / "grown";
  fs::copy(golden_folder("llava_eas") / "checkpoint", folder, fs::copy_options::recursive);
  for (const auto& [scale, temperature] : {std::pair(0.0, 10.0), {-0.5, 10.0}, {1.0, 0.0}}) {
    edit_json(folder / "config.json", [s = scale, t = temperature](Json& config) {
      config["eas"] = {{"scale", s}, {"temperature", t}};
    });
    EXPECT_NE(refusal([&] { open_model(folder); }).find("more than 0"), std::string::npos);
  }
}

TEST(Additions, RoutersThatWeighNothingBegin) {
  const auto dense = open_model(kHf), model = open_model(kHf);
  add_routers(*model, {{1, 2}});
  EXPECT_EQ(model->facts.routers, (std::vector<plan::SiteName>{{"decoder", 1}, {"decoder", 2}}));
  add_routers(*model, std::vector<int64_t>{0});
  EXPECT_EQ(model->decoder.config.routers, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_TRUE(close(logits_of_text(*model), logits_of_text(*dense), 0, 0));
  for (const int64_t layer : {0, 1, 2}) {
    const nn::Router& router = *model->decoder.blocks[static_cast<size_t>(layer)].router;
    EXPECT_EQ(router.weight.extremes(), (std::pair{0.0, 0.0}));
    EXPECT_EQ(router.bias->item<float>(), 0);
  }
  model->plan = parsed(*model, R"({"layers": [{"layer": 1, "rules": [
      {"group": "text", "keep_share": 0.5, "by": "router", "gate": "tanh_norm"}]}]})");
  logits_of_text(*model).square().mean().backward();
  const auto gradient = [&](size_t layer) { return model->decoder.blocks[layer].router->weight.learning()->grad(); };
  EXPECT_GT(gradient(1).abs().max().item<double>(), 0);
  EXPECT_FALSE(gradient(2).defined());
}

TEST(Additions, WhatDoesNotFitIsRefused) {
  const auto model = open_model(kHf);
  const auto refused = [&](const NewAdapters& wanted, const std::string& part) {
    const std::string said = refusal([&] { add_adapters(*model, wanted); });
    EXPECT_NE(said.find(part), std::string::npos) << said;
  };
  const std::vector<int64_t> one{1};
  refused({.reps = {{99}}}, "layer 99 is to get a RepAdapter, but the decoder has layers 0 to 2");
  refused({.pias = {{0, -1}}}, "layer -1 is to get a PIA, but the decoder has layers 0 to 2");
  refused({.rep_rank = 3}, "rank 3, expected a multiple of the 2 groups");
  refused({.pia_rank = 0}, "rank 0");
  refused({.groups = 7}, "7 groups, which must divide the width of the rows");
  refused({.temperature = 0}, "temperature");
  add_adapters(*model, {.reps = one, .pias = one, .rep_rank = 4, .pia_rank = 4});
  refused({.reps = {{0, 1}}}, "layer 1 of the decoder is to get a RepAdapter, but it has one already");
  refused({.reps = {{0, 2}}}, "layer 1 of the decoder is to get a PIA, but it has one already");
  EXPECT_FALSE(model->decoder.blocks[0].sites[0].adapter);
  const auto eas = open_model(golden_folder("llava_eas") / "checkpoint");
  EXPECT_NE(refusal([&] {
              add_adapters(*eas, {.reps = {{2, 4}}});
            }).find("to get a RepAdapter, but it has no attention"),
            std::string::npos);
  add_routers(*model, {});
  EXPECT_NE(refusal([&] { add_routers(*model, one); }).find("layer 1 is to get a router, but it has one already"),
            std::string::npos);
}

/// As a list of skipped layers is trained: a PIA there, RepAdapters elsewhere and in the tower.
TEST(Additions, MayDifferByLayer) {
  const auto dense = open_model(kHf), model = open_model(kHf);
  add_adapters(*model,
               {.reps = {{0, 2}}, .pias = std::vector<int64_t>{1}, .tower = true, .rep_rank = 4, .pia_rank = 6});
  EXPECT_TRUE(model->decoder.blocks[0].sites[0].adapter && model->decoder.blocks[2].sites[0].adapter);
  EXPECT_FALSE(model->decoder.blocks[1].sites[0].adapter || model->decoder.blocks[0].sites[1].stand_in);
  EXPECT_TRUE(model->decoder.blocks[1].sites[1].stand_in);
  EXPECT_EQ(model->facts.adapters.size(), 3 + model->vision->tower.blocks.size());
  for (const routing::Block& block : model->vision->tower.blocks) EXPECT_TRUE(block.sites[0].adapter);
  const Tensor pixels = at::linspace(-1, 1, 3 * 56 * 56).view({1, 3, 56, 56});
  EXPECT_TRUE(close(model->vision->tower.features(pixels), dense->vision->tower.features(pixels), 1e-5, 1e-5));
  EXPECT_TRUE(model->vision->tower.features(pixels).requires_grad());
}

}  // namespace
}  // namespace lithe::models

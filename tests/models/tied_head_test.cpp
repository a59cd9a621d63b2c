// Which head is used: the file's own, the embeddings, or what an adapter brings, in every way PEFT has of bringing it.
#include "checkpoints/read/tied_head.h"

#include <c10/core/InferenceMode.h>

#include "checkpoints/read/catalogue.h"
#include "checkpoints/write/converting.h"
#include "checkpoints/write/folding.h"
#include "models/peft_folder.h"
#include "nn/adapters/fold.h"
#include "support.h"

namespace lithe::models {
namespace {

constexpr const char* kEmbeddings = "language_model.model.embed_tokens.weight";
constexpr const char* kHead = "language_model.lm_head.weight";

Tensor numbers(const nn::Weight& weight) {
  return weight.widened(at::kFloat);
}

class TiedHead : public ::testing::Test {
 protected:
  TiedHead() {
    fs::copy(golden_folder("hf_llava15") / "checkpoint", base(), fs::copy_options::recursive);
    tie(true, true);
  }

  fs::path base() const { return temp_.path / "base"; }
  fs::path adapter() const { return temp_.path / "adapter"; }

  void tie(bool above, bool text) const {
    edit_json(base() / "config.json", [&](Json& json) {
      json["tie_word_embeddings"] = above;
      json["text_config"]["tie_word_embeddings"] = text;
    });
  }
  void edit(const std::function<void(std::map<std::string, io::TensorView>&)>& change) const {
    edit_tensors(base() / "model.safetensors", change);
  }
  void drop_head() const {
    edit([](auto& tensors) { tensors.erase(kHead); });
  }

  std::unique_ptr<Model> adapted() const {
    adapter_.write(adapter());
    return open_model(base(), {.lora = adapter()});
  }
  Tensor brought(const std::string& name) const { return tensor_over(adapter_.tensors.at(name)); }

  /// Folded, the model is the same, and an ordinary folder says so to any program.
  void expect_folds(const Model& model) const {
    fs::remove_all(temp_.path / "folded");
    write_folded(model, nullptr, temp_.path / "folded");
    const auto folded = open_model(temp_.path / "folded");
    EXPECT_TRUE(close(head_of(*folded), head_of(model), 1e-6));
    EXPECT_TRUE(numbers(folded->decoder.embeddings).equal(numbers(model.decoder.embeddings)));
    EXPECT_EQ(folded->decoder.config.tied_embeddings, model.decoder.config.tied_embeddings);
    const Json config = read_json_file(temp_.path / "folded" / "config.json");
    EXPECT_EQ(asks_for_tied_head(JsonView(config, "folded")), model.decoder.config.tied_embeddings);
  }
  static Tensor head_of(const Model& model) {
    const nn::Linear& head = model.decoder.head;
    if (!head.low_rank) return numbers(head.weight);
    return nn::whole_weight(head).to(at::kFloat);
  }

  TempFolder temp_;
  test::PeftFolder adapter_;
};

TEST_F(TiedHead, TheFilesOwnCounts) {
  for (const auto& [above, text] : {std::pair{true, true}, std::pair{true, false}, std::pair{false, true}}) {
    tie(above, text);
    const auto model = open_model(base());
    EXPECT_FALSE(model->decoder.config.tied_embeddings);
    EXPECT_FALSE(numbers(model->decoder.head.weight).equal(numbers(model->decoder.embeddings)));
    EXPECT_EQ(model->facts.parameters->head, model->decoder.head.weight.count());
  }
}

TEST_F(TiedHead, TheEmbeddingsStandInForNone) {
  drop_head();
  for (const auto& [above, text] : {std::pair{true, true}, std::pair{true, false}, std::pair{false, true}}) {
    tie(above, text);
    const auto model = open_model(base());
    EXPECT_TRUE(model->decoder.config.tied_embeddings);
    EXPECT_EQ(model->decoder.head.weight.address(), model->decoder.embeddings.address());
    EXPECT_EQ(model->facts.parameters->head, 0);
  }
  tie(false, false);
  EXPECT_NE(refusal([&] { open_model(base()); }).find(concat("missing 1: ", kHead)), std::string::npos);
}

TEST_F(TiedHead, AnEqualCopyIsTied) {
  edit([](auto& tensors) { tensors[kHead] = tensors[kEmbeddings]; });
  const auto model = open_model(base());
  EXPECT_TRUE(model->decoder.config.tied_embeddings);
  EXPECT_EQ(model->decoder.head.weight.address(), model->decoder.embeddings.address());
}

TEST_F(TiedHead, OutlivesAConversion) {
  for (const bool own : {true, false}) {
    SCOPED_TRACE(own);
    if (!own) drop_head();
    const fs::path original = temp_.path / concat("original", own), back = temp_.path / concat("back", own);
    convert_folder(base(), original, TargetLayout::original);
    convert_folder(original, back, TargetLayout::hf);
    const auto model = open_model(base());
    for (const fs::path& folder : {original, back}) {
      const auto converted = open_model(folder);
      EXPECT_EQ(converted->decoder.config.tied_embeddings, !own);
      EXPECT_TRUE(numbers(converted->decoder.head.weight).equal(numbers(model->decoder.head.weight)));
      EXPECT_EQ(read_json_file(folder / "config.json")["tie_word_embeddings"], !own);
    }
  }
}

/// modules_to_save trains a copy; what is tied otherwise keeps the base model's weights.
TEST_F(TiedHead, AnAdaptersCopyOfOneLeavesTheOther) {
  const Tensor own_head = numbers(open_model(base())->decoder.head.weight).clone();
  const Tensor embeddings = numbers(open_model(base())->decoder.embeddings).clone();
  adapter_.add("model.language_model.layers.0.self_attn.q_proj", 32, 32);
  const auto whole = adapter_.tensors;
  for (const bool own : {true, false}) {
    SCOPED_TRACE(own);
    if (!own) drop_head();
    adapter_.tensors = whole;
    adapter_.put("base_model.model.model.language_model.embed_tokens.weight", {416, 32}, 1);
    adapter_.config["modules_to_save"] = {"embed_tokens"};
    const auto inputs = adapted();
    EXPECT_TRUE(numbers(inputs->decoder.embeddings)
                    .equal(brought("base_model.model.model.language_model.embed_tokens.weight")));
    EXPECT_TRUE(numbers(inputs->decoder.head.weight).equal(own ? own_head : embeddings));
    expect_folds(*inputs);

    adapter_.tensors = whole;
    adapter_.put("base_model.model.lm_head.weight", {416, 32}, 1);
    adapter_.config["modules_to_save"] = {"lm_head"};
    const auto outputs = adapted();
    EXPECT_TRUE(numbers(outputs->decoder.embeddings).equal(embeddings));
    EXPECT_TRUE(numbers(outputs->decoder.head.weight).equal(brought("base_model.model.lm_head.weight")));
    expect_folds(*outputs);
  }
}

/// save_embedding_layers, ensure_weight_tying: the tied weight itself is another one.
TEST_F(TiedHead, AnAdaptersTiedWeightIsBoth) {
  drop_head();
  adapter_.put("base_model.model.model.language_model.embed_tokens.weight", {416, 32}, 1);
  const Tensor embeddings = brought("base_model.model.model.language_model.embed_tokens.weight");
  for (const bool saved : {false, true}) {
    SCOPED_TRACE(saved);
    if (saved) adapter_.config["modules_to_save"] = {"embed_tokens"};
    adapter_.config["ensure_weight_tying"] = saved;
    const auto model = adapted();
    EXPECT_TRUE(model->decoder.config.tied_embeddings);
    EXPECT_TRUE(numbers(model->decoder.embeddings).equal(embeddings));
    EXPECT_TRUE(numbers(model->decoder.head.weight).equal(embeddings));
    expect_folds(*model);
  }
}

TEST_F(TiedHead, LoraOnTheHeadAloneLeavesTheEmbeddings) {
  const c10::InferenceMode no_gradients;
  drop_head();
  adapter_.add("lm_head", 416, 32);
  const auto model = adapted();
  EXPECT_TRUE(numbers(model->decoder.head.weight).equal(numbers(model->decoder.embeddings)));
  EXPECT_TRUE(model->decoder.head.low_rank);
  expect_folds(*model);
}

TEST_F(TiedHead, AnUntiedModelsAdapter) {
  tie(false, false);
  const Tensor head = numbers(open_model(base())->decoder.head.weight).clone();
  adapter_.put("base_model.model.model.language_model.embed_tokens.weight", {416, 32}, 1);
  adapter_.config["modules_to_save"] = {"embed_tokens"};
  const auto model = adapted();
  EXPECT_TRUE(numbers(model->decoder.head.weight).equal(head));
  expect_folds(*model);
}

}  // namespace
}  // namespace lithe::models

// A folded model answers as the unfolded one does: tokens, and logits to 1e-5, over every prompt of the reference
// cases.
#include "session/fold.h"

#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "checkpoints/read/catalogue.h"
#include "checkpoints/write/converting.h"
#include "image/decode.h"
#include "io/safetensors.h"
#include "models/both_folder.h"
#include "models/model.h"
#include "models/peft_folder.h"
#include "models/tower_adapters.h"
#include "session/trace.h"
#include "trace_deviation.h"

namespace lithe::session {
namespace {

namespace fs = std::filesystem;

fs::path golden(const std::string& name) {
  return fs::path(LITHE_TEST_DATA) / "golden" / name;
}

/// A prompt of a case and its picture files.
struct Prompt {
  std::string text;
  std::vector<fs::path> pictures;
};

/// Of LLaVA-EAS: "generation"; picture i belongs to prompt i.
std::vector<Prompt> eas_prompts() {
  std::vector<Prompt> prompts;
  const Json json = read_json_file(golden("llava_eas") / "case.json");
  for (const auto& [name, entry] : json.at("generation").items()) {
    Prompt prompt{entry.at("prompt").get<std::string>(), {}};
    if (prompt.text.find("<image>") != prompt.text.npos)
      prompt.pictures = {golden("llava_eas") / "inputs" / ("image" + std::to_string(prompts.size()) + ".png")};
    prompts.push_back(prompt);
  }
  return prompts;
}

/// Of the other cases: "samples".
std::vector<Prompt> sample_prompts(const std::string& name) {
  std::vector<Prompt> prompts;
  const fs::path folder = golden(name);
  const Json json = read_json_file(folder / "case.json");
  for (const Json& sample : json.at("samples")) {
    std::ifstream file(folder / sample.at("prompt_file").get<std::string>(), std::ios::binary);
    Prompt prompt{std::string(std::istreambuf_iterator<char>(file), {}), {}};
    for (const Json& picture : sample.value("images", Json::array())) {
      const fs::path direct = folder / picture.get<std::string>();
      prompt.pictures.push_back(fs::exists(direct) ? direct : folder / "inputs" / picture.get<std::string>());
    }
    prompts.push_back(prompt);
  }
  return prompts;
}

Request request_of(const Session& session, const Prompt& prompt) {
  Request request;
  request.text = prompt.text;
  request.raw = true;
  for (const fs::path& picture : prompt.pictures)
    request.images.push_back(image::read_image(picture, session.decode_options()));
  return request;
}

/// Remembers what appears in a folder, also what is gone again later.
class Appearances {
 public:
  explicit Appearances(const fs::path& folder) : watch_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    ::inotify_add_watch(watch_, folder.c_str(), IN_CREATE | IN_MOVED_TO);
  }
  ~Appearances() { ::close(watch_); }
  Appearances(const Appearances&) = delete;
  Appearances& operator=(const Appearances&) = delete;

  std::vector<std::string> take() {
    std::vector<std::string> names;
    alignas(inotify_event) char events[4096];
    for (ssize_t size = 0; (size = ::read(watch_, events, sizeof events)) > 0;) {
      for (ssize_t at = 0; at < size;) {
        const auto* const event = reinterpret_cast<const inotify_event*>(events + at);
        names.emplace_back(event->name);
        at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      }
    }
    return names;
  }

 private:
  int watch_;
};

class Fold : public ::testing::Test {
 protected:
  Fold() : temp_(fs::temp_directory_path() / ("lithe_fold_" + std::to_string(::getpid()))) { clear(); }
  ~Fold() override { fs::remove_all(temp_); }

  void clear() {
    fs::remove_all(temp_);
    fs::create_directories(temp_);
  }
  fs::path out() const { return temp_ / "folded"; }

  FoldReport fold(const Session& session, const Prompt& prompt, bool freeze) {
    fs::remove_all(out());
    return fold_model(session, request_of(session, prompt), {.freeze = freeze, .new_tokens = 12}, out());
  }

  /// Writes LoRA for every product of these layers, and a projector's and a tower's, without a base beside it.
  fs::path adapter(const models::Model& base, const std::string& decoder, const std::string& projector,
                   const std::string& tower, const std::vector<int64_t>& layers) {
    const models::DecoderConfig& config = base.decoder.config;
    test::PeftFolder peft(4, 3);
    for (const int64_t layer : layers)
      peft.add_layer(decoder + "layers." + std::to_string(layer) + ".", config.hidden, config.intermediate);
    peft.add(projector, config.hidden, base.vision->tower.config.width);
    peft.add(tower + "encoder.layers.1.mlp.fc2", base.vision->tower.config.width, base.vision->tower.config.mlp);
    peft.write(temp_ / "adapter");
    return temp_ / "adapter";
  }

  io::SafetensorsFile traced(Session& session, const Prompt& prompt) {
    const fs::path file = temp_ / concat("trace-", traces_++, ".safetensors");
    write_trace(session, request_of(session, prompt), {.max_tokens = 12, .ignore_eos = true}, file);
    return io::open_safetensors(file);
  }

  void expect_equal(Session& whole, Session& folded, const Prompt& prompt) {
    SCOPED_TRACE(prompt.text);
    const io::SafetensorsFile a = traced(whole, prompt), b = traced(folded, prompt);
    EXPECT_LT(test::deviation(a, b, "logits"), 1e-5);
    EXPECT_LT(test::deviation(a, b, "step_logits"), 1e-5);
    const auto left = a.tensors.at("tokens").values<int64_t>(), right = b.tensors.at("tokens").values<int64_t>();
    EXPECT_TRUE(std::equal(left.begin(), left.end(), right.begin(), right.end()));
  }

  static void expect_small(const FoldReport& report) {
    EXPECT_LT(report.largest_deviation, 1e-5 * report.largest_logit);
    EXPECT_EQ(report.tokens, 12);
    EXPECT_EQ(report.tokens_equal, report.tokens);
  }

  /// Folds once, then asks everything.
  void fold_and_ask(Session whole, const std::vector<Prompt>& prompts) {
    expect_small(fold(whole, prompts.front(), false));
    Session folded = Session::open(out());
    for (const Prompt& prompt : prompts) expect_equal(whole, folded, prompt);
  }
  /// Folds for each prompt with what it freezes.
  void freeze_and_ask(Session whole, const std::vector<Prompt>& prompts) {
    for (const Prompt& prompt : prompts) {
      const FoldReport report = fold(whole, prompt, true);
      expect_small(report);
      EXPECT_EQ(report.adapters_left, 0);
      Session folded = Session::open(out());
      EXPECT_EQ(folded.facts().parameters->adapters, 0);
      expect_equal(whole, folded, prompt);
    }
  }

  Session eas_with_lora() {
    const fs::path base = golden("llava_eas") / "checkpoint";
    // Layer 1 has its attention, layer 2 a PIA: only what it has is adapted.
    const auto model = models::open_model(base);
    test::PeftFolder peft(4, 3);
    const int64_t h = model->decoder.config.hidden, i = model->decoder.config.intermediate;
    peft.add_layer("model.layers.1.", h, i);
    for (const char* name : {"gate_proj", "up_proj"}) peft.add(std::string("model.layers.2.mlp.") + name, i, h);
    peft.add("model.mm_projector.0", h, model->vision->tower.config.width);
    peft.write(temp_ / "adapter");
    return Session::open(base, {.lora = temp_ / "adapter"});
  }

  /// Gives every layer of a folder in Hugging Face layout a router, and the folder p-MoD's plan beside its own.
  static void add_routers(const fs::path& folder) {
    const auto model = models::open_model(folder);
    test::PeftFolder made;  // for its random tensors
    std::string off;
    for (int64_t layer = 0; layer < model->decoder.config.layers; ++layer) {
      const std::string name = "language_model.model.layers." + std::to_string(layer) + ".router.";
      made.put(name + "weight", {1, model->decoder.config.hidden}, 0.3);
      made.put(name + "bias", {1}, 0.3);
      const plan::LayerPlan* entry = model->plan.find("decoder", layer);
      if (entry && !entry->self_attention) off += (off.empty() ? "" : ", ") + std::to_string(layer);
    }
    made.add_to(folder / "model.safetensors");
    std::ofstream(folder / "plan.json") << R"({"name": "both", "combine": ["p-mod", {"method": "eas", "layers": [)"
                                        << off << "]}]}";
  }

  /// Of the decoder, those without an attention.
  static std::vector<int64_t> fixed_layers(const Session& session) {
    std::vector<int64_t> layers;
    for (const plan::FixedSite& fixed : session.facts().fixed) layers.push_back(fixed.site.layer);
    return layers;
  }

  fs::path temp_;
  int64_t traces_ = 0;
};

TEST_F(Fold, EasForEveryRequest) {
  fold_and_ask(Session::open(golden("llava_eas") / "checkpoint"), eas_prompts());
}

TEST_F(Fold, EasFrozen) {
  freeze_and_ask(Session::open(golden("llava_eas") / "checkpoint"), eas_prompts());
}

TEST_F(Fold, EasWithLora) {
  fold_and_ask(eas_with_lora(), eas_prompts());
  freeze_and_ask(eas_with_lora(), eas_prompts());
}

TEST_F(Fold, LoraInHuggingFaceLayout) {
  for (const char* name : {"hf_llava15", "hf_llavanext"}) {
    const fs::path base = golden(name) / "checkpoint";
    const fs::path lora = adapter(*models::open_model(base), "model.language_model.",
                                  "model.multi_modal_projector.linear_1", "model.vision_tower.", {0, 2});
    fold_and_ask(Session::open(base, {.lora = lora}), sample_prompts(name));
  }
}

TEST_F(Fold, LoraInTheOriginalLayout) {
  const fs::path base = golden("liuhaotian_llava15") / "checkpoint";
  const fs::path lora = adapter(*models::open_model(base), "model.", "model.mm_projector.0",
                                "model.vision_tower.vision_tower.vision_model.", {0, 3});
  fold_and_ask(Session::open(base, {.lora = lora}), sample_prompts("liuhaotian_llava15"));
}

/// Folded weights past what 16 bits hold do not become a model, not even while they are compared.
TEST_F(Fold, WeightsThatOverflowAreRefused) {
  const fs::path base = golden("hf_llava15") / "checkpoint";
  const auto model = models::open_model(base);
  const int64_t h = model->decoder.config.hidden, i = model->decoder.config.intermediate;
  test::PeftFolder peft(4, 1000);
  const std::string product = "base_model.model.model.language_model.layers.0.mlp.up_proj.";
  peft.put(product + "lora_A.weight", {4, h}, 1);
  peft.put(product + "lora_B.weight", {i, 4}, 1000);
  peft.write(temp_ / "adapter");
  const Prompt prompt = sample_prompts("hf_llava15").front();
  Appearances appearances(temp_);
  try {
    fold(Session::open(base, {.lora = temp_ / "adapter", .weights = "float16"}), prompt, false);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::bad_request);
    EXPECT_NE(std::string(error.what()).find("bfloat16 or float32"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(fs::exists(out()));
  const std::vector<std::string> appeared = appearances.take();
  EXPECT_FALSE(appeared.empty());
  EXPECT_EQ(std::find(appeared.begin(), appeared.end(), out().filename()), appeared.end());
  EXPECT_NO_THROW(fold(Session::open(base, {.lora = temp_ / "adapter", .weights = "float32"}), prompt, false));
}

TEST_F(Fold, RoundedWeightsAreRefused) {
  const Prompt prompt = eas_prompts().front();
  for (const char* weights : {"int8", "int4"}) {
    try {
      fold(Session::open(golden("llava_eas") / "checkpoint", {.weights = weights}), prompt, false);
      FAIL() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::bad_request);
      EXPECT_NE(std::string(error.what()).find(weights), std::string::npos) << error.what();
    }
    EXPECT_FALSE(fs::exists(out()));
  }
}

/// transformers knows no adapters, but a converted folder has them under the names of its own layout.
TEST_F(Fold, EasInHuggingFaceLayout) {
  const fs::path converted = temp_ / "converted";
  models::convert_folder(golden("llava_eas") / "checkpoint", converted, models::TargetLayout::hf);
  fold_and_ask(Session::open(converted), eas_prompts());
  freeze_and_ask(Session::open(converted), eas_prompts());
}

/// p-MoD and EAS in one model: fewer vision rows in the deep layers, of which some have no attention.
TEST_F(Fold, EasUnderPMod) {
  const fs::path both = temp_ / "both";
  models::convert_folder(golden("llava_eas") / "checkpoint", both, models::TargetLayout::hf);
  add_routers(both);
  Session whole = Session::open(both);
  bool attends_to_fewer = false;
  for (const plan::LayerPlan& layer : whole.plan().layers)
    attends_to_fewer = attends_to_fewer || (layer.self_attention && !layer.rules.empty());
  EXPECT_TRUE(attends_to_fewer);
  const Prompt asked = eas_prompts().front();
  const Answer answer = whole.answer(request_of(whole, asked), {.max_new_tokens = 4, .ignore_eos = true});
  for (const plan::LayerPlan& layer : whole.plan().layers) {
    const int64_t held = answer.cache.rows_after_prefill.at(static_cast<size_t>(layer.layer));
    if (!layer.self_attention) {
      EXPECT_EQ(held, 0) << "layer " << layer.layer;
    } else if (!layer.rules.empty()) {
      const auto kept = static_cast<int64_t>(static_cast<float>(answer.timings.vision_rows) *
                                             static_cast<float>(*layer.rules.front().keep_share));
      EXPECT_EQ(held, answer.timings.prompt_rows - answer.timings.vision_rows + kept) << "layer " << layer.layer;
    }
  }
  fold_and_ask(Session::open(both), eas_prompts());
  freeze_and_ask(Session::open(both), eas_prompts());
}

/// Tiles have gates of their own, so a tower's adapters stay; the second norm after a PIA folds.
TEST_F(Fold, AdaptersInTheTower) {
  const fs::path base = temp_ / "tower";
  fs::copy(golden("hf_llavanext") / "checkpoint", base);
  test::put_tower_adapters(base / "model.safetensors", "vision_tower.vision_model.", 32);
  Session whole = Session::open(base);
  const FoldReport report = fold(whole, sample_prompts("hf_llavanext").front(), true);
  EXPECT_EQ(report.gains, 1);
  EXPECT_EQ(report.adapters, 0);
  EXPECT_EQ(report.adapters_left, 2);
  EXPECT_EQ(Session::open(out()).facts().fixed, whole.facts().fixed);
  fold_and_ask(std::move(whole), sample_prompts("hf_llavanext"));
}

/// A layer with an attention and a PIA: both read one feed-forward network, so it takes the plan to fold one of them.
TEST_F(Fold, AttentionsWithStandIns) {
  const fs::path both = temp_ / "both";
  test::write_both(both);
  std::ofstream(both / "plan.json") << R"({"method": "eas", "layers": [1, 4]})";
  EXPECT_THROW(fold(Session::open(both), eas_prompts().front(), false), Error);
  const FoldReport report = fold(Session::open(both), eas_prompts().front(), true);
  EXPECT_EQ(report.adapters, 12);
  EXPECT_EQ(report.gains, 2);
  const Session folded = Session::open(out());
  EXPECT_EQ(fixed_layers(folded), (std::vector<int64_t>{1, 4}));
  EXPECT_EQ(folded.plan().layers, Session::open(both).plan().layers);
  freeze_and_ask(Session::open(both), eas_prompts());

  fs::remove(both / "plan.json");  // every PIA runs
  fold(Session::open(both), eas_prompts().front(), true);
  EXPECT_EQ(Session::open(out()).facts().fixed.size(), 6u);
}

/// The request's own plan decides, not the folder's.
TEST_F(Fold, AttentionsWithStandInsUnderAnotherPlan) {
  const fs::path both = temp_ / "both";
  test::write_both(both);
  const Session whole = Session::open(both);
  Request request = request_of(whole, eas_prompts().front());
  request.plan = plan::Plan{.name = "own", .layers = {{.layer = 0, .self_attention = false}}};
  const FoldReport report = fold_model(whole, request, {.freeze = true, .new_tokens = 12}, out());
  expect_small(report);
  EXPECT_EQ(Session::open(out()).plan().layers, request.plan->layers);
  EXPECT_EQ(fixed_layers(Session::open(out())), std::vector<int64_t>{0});
}

/// LoRA is folded in any case: of a layer that keeps both into both, of an attention that is lost into nothing.
TEST_F(Fold, AttentionsWithStandInsAndLora) {
  const fs::path both = temp_ / "both";
  test::write_both(both);
  std::ofstream(both / "plan.json") << R"({"method": "eas", "layers": [1, 4]})";
  test::PeftFolder peft(4, 3);
  for (const char* layer : {"0", "1", "4"}) peft.add_layer(std::string("model.layers.") + layer + ".", 40, 88);
  peft.write(temp_ / "adapter");
  const auto adapted = [&] { return Session::open(both, {.lora = temp_ / "adapter"}); };
  fold_and_ask(adapted(), eas_prompts());
  EXPECT_TRUE(Session::open(out()).facts().fixed.empty());
  freeze_and_ask(adapted(), eas_prompts());
}

/// An adapter of one layout goes over a base of the other.
TEST_F(Fold, LoraOfTheOriginalOverAConvertedModel) {
  const fs::path base = golden("liuhaotian_llava15") / "checkpoint", converted = temp_ / "converted";
  models::convert_folder(base, converted, models::TargetLayout::hf);
  const fs::path lora = adapter(*models::open_model(base), "model.", "model.mm_projector.0",
                                "model.vision_tower.vision_tower.vision_model.", {0, 3});
  Session original = Session::open(base, {.lora = lora}), other = Session::open(converted, {.lora = lora});
  for (const Prompt& prompt : sample_prompts("liuhaotian_llava15")) expect_equal(original, other, prompt);
  fold_and_ask(std::move(other), sample_prompts("liuhaotian_llava15"));
}

}  // namespace
}  // namespace lithe::session

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <random>
#include <span>

#include "base/error.h"
#include "checkpoints/read/catalogue.h"
#include "golden/cases.h"
#include "golden/device.h"
#include "golden/lavin_case.h"
#include "golden/sample_run.h"
#include "image/decode.h"
#include "session/generation.h"
#include "session/prompt_rows.h"
#include "session/sampling.h"

namespace lithe::golden {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

/// A LaVIN checkpoint in one of its forms, and what the case says of its answers.
class LavinRun {
 public:
  LavinRun(const Case& golden, Check& check, LavinFolderOfCase::Form form, const Json& own = Json::object())
      : golden_(golden),
        check_(check),
        inputs_(golden.folder / "inputs/inputs.safetensors"),
        folder_(lavin_base(golden.folder), golden.folder / "checkpoint/adapter", golden.json.at("config"), form, own),
        model_(models::open_model(folder_.path(), {.weights = exact_storage(), .device = device()})) {}

  /// The transforms at the published 224 pixels: every 7th pixel of the second training picture.
  void pixels() {
    constexpr int64_t kSide = 224, kStep = 7;
    const fs::path file = lavin_base(golden_.folder) / "../inputs/scienceqa/images/train/2/image.png";
    image::PreprocessConfig config = model_->vision->preprocess;
    config.exact_size = config.crop = {kSide, kSide};
    const image::PixelValues whole = image::preprocess(image::read_image(file, config.decode_options()), config);
    std::vector<float> some;
    for (int64_t channel = 0; channel < 3; ++channel) {
      for (int64_t row = 0; row < kSide; row += kStep) {
        for (int64_t column = 0; column < kSide; column += kStep)
          some.push_back(whole.values.at(static_cast<size_t>((channel * kSide + row) * kSide + column)));
      }
    }
    check_.floats("pixels224.strided", golden_.expected.tensors.at("pixels224.strided"), some, Tolerance{1e-5, 1e-5});
  }

  /// The groups of answers that begin so: "gen_single".
  void answers(const std::string& kind) {
    for (const auto& [group, expected] : golden_.json.at("generation").items()) {
      if (group.starts_with(kind)) answer(group, expected);
    }
  }

  /// A published batch: all prompts run as far as the shortest, then every sequence goes on token by token. What is
  /// left of a longer prompt is fed in the place of new tokens.
  void batch(const std::string& group) {
    const Json& expected = golden_.json.at("generation").at(group);
    const std::vector<Asked> asked = asked_together(expected);
    int64_t shortest = asked.front().prompt.rows(), longest = shortest;
    for (const Asked& one : asked) {
      shortest = std::min(shortest, one.prompt.rows());
      longest = std::max(longest, one.prompt.rows());
    }
    std::vector<Tensor> logits;
    for (size_t k = 0; k < asked.size(); ++k) {
      const auto i = expected.at("prompt_indices").at(k).get<int64_t>();
      const std::vector<int64_t> tokens = integers_of(golden_.expected.tensors.at(fmt::format("{}tokens{}", group, i)));
      const int64_t made = std::ssize(tokens) - std::ssize(asked[k].ids);
      FedAnswer fed = feed(asked[k], shortest, longest - shortest + made);
      logits.push_back(at::cat({fed.logits.narrow(0, 0, kFirst), fed.logits.narrow(0, -made, made)}));
      fed.ids.resize(tokens.size());
      check_.integers(fmt::format("{}tokens{}", group, i), tokens, fed.ids);
      check_.texts(fmt::format("{}text{}", group, i), expected.at("texts").at(k).get<std::string>(),
                   model_->prompting.tokenizer->decode(fed.ids, false));
    }
    const io::TensorView& all = golden_.expected.tensors.at(group + "logits");
    check_.floats(group + "logits", all, values_of(at::stack(logits)), tolerance_of(all));
  }

  /// Draws show which tokens top_p leaves, and in which shares. The case has them in order, with 0 for the others.
  void top_p() {
    const std::vector<float> logits = values_of(inputs_["top_p.logits"]);
    const std::span<const float> left = golden_.expected.tensors.at("top_p.filtered_sorted_probs").values<float>();
    const std::vector<int64_t> order = integers_of(golden_.expected.tensors.at("top_p.order"));
    const auto vocabulary = static_cast<size_t>(inputs_.view("top_p.logits").shape.back());
    for (size_t first = 0; first < logits.size(); first += vocabulary) {
      std::vector<float> published(vocabulary);
      for (size_t rank = 0; rank < vocabulary; ++rank)
        published.at(static_cast<size_t>(order.at(first + rank))) = left[first + rank];
      const std::vector<float> drawn = drawn_shares(std::span(logits).subspan(first, vocabulary));
      for (size_t id = 0; id < vocabulary; ++id)
        if ((published[id] == 0) != (drawn[id] == 0))
          check_.fault(fmt::format("top_p: token {} is drawn by one side alone", id));
      check_.near(fmt::format("top_p: largest deviation of a share, row {}", first / vocabulary), 0,
                  largest_deviation(published, drawn), kDrawnShare);
    }
  }

 private:
  static constexpr int64_t kFirst = 2;  // steps of a batch whose logits the case has, before the last ones
  static constexpr int64_t kDraws = 20'000;
  static constexpr double kDrawnShare = 0.015;  // more than five deviations of such a share

  struct Asked {
    session::PromptRows prompt;
    std::vector<int64_t> ids;  ///< As published.
  };
  struct FedAnswer {
    Tensor logits;             ///< [steps, vocabulary]
    std::vector<int64_t> ids;  ///< The prompt and what follows.
  };

  static std::vector<float> drawn_shares(std::span<const float> logits) {
    std::vector<float> shares(logits.size());
    std::mt19937_64 generator(1);
    for (int64_t i = 0; i < kDraws; ++i) {
      const int64_t id = session::sample(logits, {}, {.temperature = 1, .top_p = 0.75}, generator);
      shares.at(static_cast<size_t>(id)) += 1.0F / static_cast<float>(kDraws);
    }
    return shares;
  }
  static double largest_deviation(const std::vector<float>& a, const std::vector<float>& b) {
    double largest = 0;
    for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(double{a[i]} - double{b[i]}));
    return largest;
  }

  Tolerance tolerance_of(const io::TensorView& expected) const {
    return of_largest(expected, golden_.tolerances.of({"values"}).relative);
  }

  /// A question, about a picture as the case has transformed it. `class_tokens`: of the picture, [6, width].
  Asked asked(const Json& expected, size_t k, const Tensor& class_tokens) const {
    const auto i = expected.at("prompt_indices").at(k).get<size_t>();
    const bool sees = !expected.at("texts").at(k).get<std::string>().starts_with("Image: N/A");
    text::Message message = text::user_message(golden_.json.at("prompts").at(i), sees ? 1 : 0);
    const session::Request request{.messages = {std::move(message)}};
    std::vector<models::ImageRows> pictures(sees ? 1 : 0);
    for (models::ImageRows& picture : pictures) {
      picture.rows = model_->vision->projector(class_tokens);
      picture.kinds.assign(static_cast<size_t>(picture.rows.size(0)), routing::RowKind::vision);
    }
    Asked asked{session::merge(*model_, session::prompt_ids(*model_, request, pictures.size()), pictures), {}};
    asked.ids = published_ids(asked.prompt.ids, pictures);
    return asked;
  }

  /// The questions of a batch. Without EAS, its pictures share gates.
  std::vector<Asked> asked_together(const Json& expected) const {
    std::vector<Tensor> pixels;
    for (const Json& i : expected.at("prompt_indices")) pixels.push_back(inputs_["gen.images"][i.get<int64_t>()]);
    const Tensor class_tokens = published_class_tokens(model_->vision->tower, at::stack(pixels));
    std::vector<Asked> all;
    for (size_t k = 0; k < pixels.size(); ++k) all.push_back(asked(expected, k, class_tokens[static_cast<int64_t>(k)]));
    return all;
  }

  /// Runs `rows` of a prompt, then this many steps: over the rest of the prompt, then over new tokens.
  FedAnswer feed(const Asked& asked, int64_t rows, int64_t steps) const {
    session::Generation generation(*model_, std::make_shared<const plan::Plan>(model_->plan));
    Tensor hidden = generation.prefill(asked.prompt.embeddings.narrow(0, 0, rows),
                                       std::span(asked.prompt.kinds).first(static_cast<size_t>(rows)));
    FedAnswer fed{{}, asked.ids};
    std::vector<Tensor> logits;
    auto next = static_cast<size_t>(rows - model_->decoder.rows_before());
    for (int64_t step = 0; step < steps; ++step, ++next) {
      if (step > 0) hidden = generation.step(fed.ids.at(next - 1));
      logits.push_back(model_->decoder.logits(hidden.narrow(0, hidden.size(0) - 1, 1)).squeeze(0));
      if (next == fed.ids.size()) fed.ids.push_back(logits.back().argmax(-1).item<int64_t>());
    }
    fed.logits = at::stack(logits);
    return fed;
  }

  void answer(const std::string& group, const Json& expected) {
    const auto i = expected.at("prompt_indices").at(0).get<int64_t>();
    const io::TensorView& logits = golden_.expected.tensors.at(group + "logits");
    const std::vector<int64_t> tokens = integers_of(golden_.expected.tensors.at(fmt::format("{}tokens{}", group, i)));
    const Asked one = asked(expected, 0, model_->vision->tower.features(inputs_["gen.images"].narrow(0, i, 1))[0]);
    session::Generation generation(*model_, std::make_shared<const plan::Plan>(model_->plan));
    std::vector<int64_t> all = one.ids;
    std::vector<Tensor> steps;
    Tensor hidden = generation.prefill(one.prompt.embeddings, one.prompt.kinds, {}, one.prompt.places);
    while (true) {
      steps.push_back(model_->decoder.logits(hidden.narrow(0, hidden.size(0) - 1, 1)));
      all.push_back(steps.back().argmax(-1).item<int64_t>());
      if (std::ssize(steps) == logits.shape.at(1)) break;
      hidden = generation.step(all.back());
    }
    check_.floats(group + "logits", logits, values_of(at::stack(steps)), tolerance_of(logits));
    check_.integers(group + "tokens", tokens, all);
    check_.texts(group + "text", expected.at("texts").at(0).get<std::string>(),
                 model_->prompting.tokenizer->decode(all, false));
    cached(group, std::ssize(all) - 1, generation.rows_held());
  }

  /// The published code has id 0 at each row of a picture.
  static std::vector<int64_t> published_ids(const std::vector<int64_t>& ids,
                                            const std::vector<models::ImageRows>& pictures) {
    std::vector<int64_t> all;
    for (const int64_t id : ids) {
      const bool mark = id == text::kImageId;
      all.insert(all.end(), mark ? pictures.front().kinds.size() : 1, mark ? 0 : id);
    }
    return all;
  }

  /// Every token but the last; the modality row and skipped layers cache nothing.
  void cached(const std::string& group, int64_t rows, const std::vector<int64_t>& held) {
    std::vector<int64_t> expected(held.size(), rows);
    for (const Json& layer : golden_.json.at("config").at("skip")) expected.at(layer.get<size_t>()) = 0;
    check_.integers(group + ": cached rows", expected, held);
  }

  const Case& golden_;
  Check& check_;
  TensorFile inputs_;
  LavinFolderOfCase folder_;
  std::unique_ptr<models::Model> model_;
};

}  // namespace

Check run_lavin(const Case& golden) {
  Check check;
  check_lavin_training(golden, check);
  const c10::InferenceMode no_gradients;
  const bool skips = !golden.json.at("config").at("skip").empty();
  for (const auto form : {LavinFolderOfCase::Form::torch, LavinFolderOfCase::Form::safetensors}) {
    LavinRun run(golden, check, form);
    run.pixels();
    run.answers(skips ? "gen_frozen" : "gen_single");
    run.top_p();
    if (!skips) run.batch("gen_batch.");
  }
  if (skips) {
    // The published decode takes the mean of the current token alone.
    LavinRun published(golden, check, LavinFolderOfCase::Form::safetensors, {{"pia_mean", "published"}});
    published.answers("gen_single");
    published.batch("gen_batch.");
    check.skip("decode with a running mean, and with biases folded wrongly");
  }
  return check;
}

}  // namespace lithe::golden

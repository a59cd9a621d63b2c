#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include "base/error.h"
#include "golden/cases.h"
#include "golden/device.h"
#include "golden/eas_samples.h"
#include "golden/eas_training.h"
#include "golden/sample_run.h"
#include "image/decode.h"
#include "session/trace.h"

namespace lithe::golden {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

/// One LLaVA-EAS checkpoint and what the case says of it.
class EasRun {
 public:
  EasRun(const Case& golden, Check& check)
      : golden_(golden),
        check_(check),
        inputs_(golden.folder / "inputs/inputs.safetensors"),
        session_(session::Session::open(golden.folder / "checkpoint", {.device = device()})),
        tolerance_(golden.tolerances.of({"values"})) {}

  /// The tower and the projector over the given pixels; a sample without a picture has zeros.
  void features() {
    const models::Model& model = session_.model();
    const Tensor features = model.vision->tower.features(inputs_["images"]);
    floats("image_features", model.vision->projector(features.flatten(0, 1)));
  }

  /// The published evaluation: gate and token mean over all rows given, answer and padding with them.
  void evaluation() {
    const EasSamples samples =
        padded(spliced(session_.model(), inputs_), golden_.expected.tensors.at("spliced.embeds").shape.at(1));
    const auto each = [&](const Tensor& x) {
      return x.view({static_cast<int64_t>(samples.rows.size()), -1, x.size(1)});
    };
    const tune::TrainingRows rows = rows_of(samples, session_.plan(), Means::all_rows);
    floats("eval.loss", mean_loss(session_.model(), rows, [&](const routing::LayerReport& report) {
             tail(fmt::format("eval.layer{}.last24", report.layer), each(report.hidden));
             if (report.layer + 1 == session_.facts().layers)
               tail("eval.logits.last24", each(session_.model().decoder.logits(report.hidden)));
           }));
  }

  void generations() {
    size_t i = 0;
    for (const auto& [name, expected] : golden_.json.at("generation").items()) {
      generation(name, expected.at("prompt").get<std::string>(), i++);
    }
  }

 private:
  void generation(const std::string& name, const std::string& prompt, size_t i) {
    session::Request request{.text = prompt, .raw = true};
    if (prompt.find("<image>") != prompt.npos) {
      const fs::path picture = golden_.folder / "inputs" / fmt::format("image{}.png", i);
      request.images.push_back(image::read_image(picture, session_.decode_options()));
    }
    const fs::path out = temp_.path() / (name + ".safetensors");
    const io::TensorView& logits = golden_.expected.tensors.at(name + ".logits");
    session::write_trace(session_, request, {.max_tokens = logits.shape.at(0), .ignore_eos = true}, out);
    const io::SafetensorsFile trace = io::open_safetensors(out);
    check_.integers(name + ".input_ids", integers_of(inputs_.view(name + ".input_ids")),
                    integers_of(trace.tensors.at("input_ids")));
    check_.floats(name + ".logits", logits, trace.tensors.at("step_logits").values<float>(), tolerance_);
    std::vector<int64_t> tokens = integers_of(trace.tensors.at("tokens"));
    // Published code generates from embeddings: its output begins with BOS.
    tokens.insert(tokens.begin(), session_.model().prompting.tokenizer->bos().value_or(1));
    check_.integers(name + ".tokens", integers_of(golden_.expected.tensors.at(name + ".tokens")), tokens);
    tokens.erase(tokens.begin());
    check_.texts(name + ".text", golden_.json.at("generation").at(name).at("text").get<std::string>(),
                 session_.model().prompting.tokenizer->decode(tokens, true));
    std::vector<int64_t> held = integers_of(trace.tensors.at("kv_lengths.end"));
    const int64_t rows = *std::max_element(held.begin(), held.end());
    std::vector<int64_t> expected(held.size(), rows);
    for (const Json& layer : golden_.json.at("config").at("skip")) expected.at(layer.get<size_t>()) = 0;
    check_.integers(name + ": cached rows", expected, held);
  }

  void floats(const std::string& name, const Tensor& actual) {
    check_.floats(name, golden_.expected.tensors.at(name), values_of(actual), tolerance_);
  }
  /// The last rows of each sequence, as many as the case has.  x: [batch, columns, width]
  void tail(const std::string& name, const Tensor& x) {
    const int64_t rows = golden_.expected.tensors.at(name).shape.at(1);
    floats(name, x.narrow(1, x.size(1) - rows, rows));
  }

  const Case& golden_;
  Check& check_;
  TensorFile inputs_;
  session::Session session_;
  Tolerance tolerance_;
  TempFolder temp_;
};

}  // namespace

Check run_llava_eas(const Case& golden) {
  Check check;
  check_eas_training(golden, check);
  const c10::InferenceMode no_gradients;
  EasRun run(golden, check);
  run.features();
  run.evaluation();
  run.generations();
  return check;
}

}  // namespace lithe::golden

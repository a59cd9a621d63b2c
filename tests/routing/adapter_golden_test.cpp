#include <ATen/TensorOperators.h>

#include <cstring>

#include "base/error.h"
#include "io/safetensors.h"
#include "ops/tensor_support.h"
#include "routing/adapter_site.h"

// The adapters alone against the published code: tests/data/golden/pia.
namespace lithe::routing {
namespace {

using test::expect_close;

const std::vector<std::string> kSettings{"s0", "s1", "s2"};

/// The tensors of one golden file by name.
class Golden {
 public:
  Golden(const std::string& variant, const std::string& file)
      : file_(io::open_safetensors(std::string(LITHE_TEST_DATA) + "/golden/pia/" + variant + "/" + file)) {}

  bool has(const std::string& name) const { return file_.tensors.count(name) > 0; }
  Tensor operator()(const std::string& name) const {
    const io::TensorView& view = file_.tensors.at(name);
    Tensor tensor = at::empty(view.shape, at::kFloat);
    std::memcpy(tensor.mutable_data_ptr(), view.bytes.data(), view.bytes.size());
    return tensor;
  }

 private:
  io::SafetensorsFile file_;
};

/// The numbers of case.json's `settings`.
double scale_of(const std::string& setting) {
  return setting == "s0" ? 1.0 : setting == "s1" ? 0.5 : 2.0;
}
double temperature_of(const std::string& setting) {
  return setting == "s2" ? 3.0 : 10.0;
}

/// A convolution of width 1 is a matrix.
Tensor matrix(const Tensor& convolution) {
  return convolution.squeeze(-1);
}

nn::Linear linear(const Golden& weights, const std::string& name) {
  return {matrix(weights(name + ".weight")), weights(name + ".bias")};
}

nn::GatedUp up(const Golden& weights, const std::string& name, const std::string& setting, bool two_paths) {
  nn::GatedUp result{matrix(weights(name + ".conv_B.weight")), weights(name + ".conv_B.bias")};
  if (two_paths) {
    result.d_weight = matrix(weights(name + ".conv_D.weight"));
    result.d_bias = weights(name + ".conv_D.bias");
  }
  result.scale = scale_of(setting);
  return result;
}

nn::AdapterGate gate(const Golden& weights, const std::string& name, const std::string& setting) {
  nn::Linear router{weights(name + ".expert_weights.weight"), std::nullopt};
  if (weights.has(name + ".expert_weights.bias")) router.bias = weights(name + ".expert_weights.bias");
  return {router, temperature_of(setting)};
}

/// Several sequences of equally many rows, as the adapters see them.
struct Pass {
  Pass(const Tensor& x, std::vector<std::vector<nn::LayerState>>* states, bool prompt) : rows(x.flatten(0, 1)) {
    for (int64_t i = 0; i < x.size(0); ++i) {
      Sequence sequence{.prompt = prompt};
      if (states) sequence.states = (*states)[static_cast<size_t>(i)];
      batch.sequences.push_back(sequence);
      batch.offsets.push_back((i + 1) * x.size(1));
    }
    shape = x.sizes().vec();
  }
  Tensor rows;
  std::vector<int64_t> shape;
  Batch batch{.offsets = {0}};
  RowSets sets;
  std::optional<OtherStream> other;
  std::vector<std::vector<bool>> watched;
  AttentionScores scores;
  SiteContext context{batch, sets, 0, other, watched, scores, {}, std::nullopt};
};

TEST(PiaGolden, LlavaPromptAndDecode) {
  const at::NoGradGuard no_gradient;
  const Golden weights("llava", "checkpoint/adapters.safetensors"), inputs("llava", "inputs/inputs.safetensors"),
      expected("llava", "expected.safetensors");
  for (const std::string& s : kSettings) {
    nn::Pia pia{linear(weights, s + ".pia.conv_A"), linear(weights, s + ".pia.conv_C"),
                up(weights, s + ".pia", s, true), gate(weights, s + ".pia", s), std::nullopt};
    nn::RepAdapter rep{linear(weights, s + ".rep.conv_A"), up(weights, s + ".rep", s, true),
                       gate(weights, s + ".rep", s)};
    const Tensor x = inputs(s + ".x"), later = inputs(s + ".decode_x");
    for (const bool is_pia : {true, false}) {
      const std::string name = s + (is_pia ? ".pia" : ".rep");
      std::vector<std::vector<nn::LayerState>> states(static_cast<size_t>(x.size(0)), std::vector<nn::LayerState>(1));
      const auto apply = [&](const Tensor& rows, bool prompt) {
        Pass pass(rows, &states, prompt);
        const Tensor y = is_pia ? apply_pia(pia, pass.rows, pass.batch.offsets, pass.context)
                                : apply_rep_adapter(rep, pass.rows, pass.batch.offsets, pass.context, Site::Kind::self);
        return y.view(pass.shape);
      };
      const Tensor prompt = apply(x, true);
      if (expected.has(name + ".eval.y")) expect_close(prompt, expected(name + ".eval.y"), 1e-5, name);
      if (expected.has(name + ".eval.gate")) {
        for (size_t i = 0; i < states.size(); ++i)
          expect_close(is_pia ? *states[i][0].pia_gate : *states[i][0].attention_gate,
                       expected(name + ".eval.gate")[static_cast<int64_t>(i)], 2e-6, name + ": gate");
      }
      expect_close(apply(later, false), expected(name + ".decode.y"), 1e-5, name + ": decode");
    }
  }
}

TEST(PiaGolden, LlavaGradients) {
  const Golden weights("llava", "checkpoint/adapters.safetensors"), inputs("llava", "inputs/inputs.safetensors"),
      expected("llava", "expected.safetensors");
  for (const std::string& s : kSettings) {
    const std::string name = s + ".pia";
    if (!expected.has(name + ".eval.grad_x")) continue;
    nn::Pia pia{linear(weights, name + ".conv_A"), linear(weights, name + ".conv_C"), up(weights, name, s, true),
                gate(weights, name, s), std::nullopt};
    std::vector<std::pair<std::string, Tensor*>> learned{{".conv_A.weight", &pia.shared.weight},
                                                         {".conv_C.weight", &pia.own.weight},
                                                         {".conv_B.weight", &pia.up.b_weight},
                                                         {".conv_D.bias", &*pia.up.d_bias},
                                                         {".expert_weights.weight", &pia.gate->router.weight}};
    for (auto& [key, tensor] : learned) *tensor = test::leaf(*tensor);
    const Tensor x = test::leaf(inputs(s + ".x"));
    Pass pass(x, nullptr, true);
    (apply_pia(pia, pass.rows, pass.batch.offsets, pass.context).view(pass.shape) * inputs(s + ".gy")).sum().backward();
    expect_close(x.grad(), expected(name + ".eval.grad_x"), 1e-4, name + ": x");
    for (const auto& [key, tensor] : learned) {
      const Tensor wanted = expected(name + ".eval.grad" + key);
      expect_close(tensor->grad(), wanted.view(tensor->sizes()), 1e-4 * (1 + wanted.abs().max().item<double>()),
                   name + key);
    }
  }
}

TEST(PiaGolden, MeterSelfAndCross) {
  const at::NoGradGuard no_gradient;
  const Golden weights("meter", "checkpoint/adapters.safetensors"), inputs("meter", "inputs/inputs.safetensors"),
      expected("meter", "expected.safetensors");
  for (const std::string& s : kSettings) {
    nn::Pia pia{linear(weights, s + ".pia.conv_A"), linear(weights, s + ".pia.conv_C"),
                up(weights, s + ".pia", s, false), std::nullopt, std::nullopt};
    pia.residual = false;
    const nn::RepAdapter rep{linear(weights, s + ".rep.conv_C"), up(weights, s + ".rep", s, false), std::nullopt};
    Pass own(inputs(s + ".x"), nullptr, true);
    const Pass other(inputs(s + ".x_other"), nullptr, true);
    const auto read = [](const Pass& pass) { return OtherStream{pass.rows, pass.batch.offsets, {}}; };
    const std::vector<int64_t>& offsets = own.batch.offsets;
    expect_close(pia_branch(pia, own.rows, offsets, read(own)).view(own.shape), expected(s + ".pia.self.y"), 1e-5,
                 s + ": self");
    expect_close(pia_branch(pia, own.rows, offsets, read(other)).view(own.shape), expected(s + ".pia.cross.y"), 1e-5,
                 s + ": cross");
    expect_close(apply_rep_adapter(rep, own.rows, offsets, own.context, Site::Kind::feed_forward).view(own.shape),
                 expected(s + ".rep.y"), 1e-5, s + ": adapter");
  }
}

}  // namespace
}  // namespace lithe::routing

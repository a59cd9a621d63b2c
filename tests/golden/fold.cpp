#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include "golden/cases.h"
#include "golden/tensors.h"
#include "nn/adapters/fold.h"
#include "routing/executor.h"

namespace lithe::golden {
namespace {

using at::Tensor;
using routing::Site;

constexpr Tolerance kExact{1e-9, 0};  // float64: what the cases demand

/// A block of a LaVIN decoder with its adapters, and what the same weights fold into.
class FoldRun {
 public:
  FoldRun(const Case& golden, Check& check)
      : golden_(golden),
        check_(check),
        settings_(golden.json.at("settings")),
        weights_(golden.folder / "checkpoint/block.safetensors"),
        inputs_(golden.folder / "inputs/inputs.safetensors") {}

  void kept() {
    const nn::RepAdapter adapter{linear("adapter_attn.conv_A"), up("adapter_attn"), gate("adapter_attn")};
    const Tensor gate = gate_of(*adapter.gate);
    compare("kept.gate", gate);
    const nn::AdapterMap map = nn::map_of(adapter, gate);
    compare("kept.matrix", map.matrix());
    compare("kept.vector", map.offset);
    for (const char* name : {"attention.wq", "attention.wk", "attention.wv"}) folded("kept", name, map);
  }

  /// The PIA with the mean and the gate of the prompt; then the layer that is a norm and an MLP.
  void skipped() {
    const nn::Pia pia{linear("replaced_adapter.conv_A"), linear("replaced_adapter.conv_C"), up("replaced_adapter"),
                      gate("replaced_adapter"), weight("ffn_norm.weight")};
    const Tensor normed = norm()(input("prompt").flatten(0, 1)), mean = pia.shared(normed).mean(0);
    compare("skipped.token_mean", mean);
    const Tensor gate = gate_of(*pia.gate);
    compare("skipped.gate", gate);
    const nn::AdapterMap map = nn::map_of(pia, gate, mean);
    compare("skipped.matrix", map.matrix());
    compare("skipped.vector", map.offset);
    const nn::Linear w1 = folded("skipped", "feed_forward.w1", map), w3 = folded("skipped", "feed_forward.w3", map);
    const nn::Mlp whole{w1, w3, {weight("feed_forward.w2.weight"), std::nullopt}};
    compare("skipped.prompt.y", layer(Site{.branch = whole}, input("prompt"), nullptr, true));
    compare("skipped.decode_frozen_mean.y", layer(Site{.branch = whole}, input("decode"), nullptr, true));
    unfolded(pia);
    half_folded(pia);
  }

  void meter() {
    const nn::RepAdapter adapter{{input("meter.conv_C.weight"), input("meter.conv_C.bias")},
                                 {input("meter.conv_B.weight"), input("meter.conv_B.bias")},
                                 std::nullopt};
    nn::RepAdapter scaled = adapter;
    scaled.up.scale = settings_.at("meter_scale").get<double>();
    scaled.up.groups = settings_.at("groups").get<int64_t>();
    const nn::Linear dense =
        nn::folded({input("meter.dense.weight"), input("meter.dense.bias")}, nn::map_of(scaled, std::nullopt));
    compare("meter.folded.weight", dense.weight.widened(at::kDouble));
    compare("meter.folded.bias", *dense.bias);
    compare("meter.y", dense(input("meter.x")));
  }

 private:
  /// The PIA as it is served: gate and mean taken over the prompt, frozen for the rows after it.
  void unfolded(const nn::Pia& pia) {
    Site site{.branch = mlp(std::nullopt)};
    site.pia = pia;
    served("unfolded", site);
  }
  /// The PIA in serving, if gate and mean depend on the request: its gain is in the weights.
  void half_folded(const nn::Pia& pia) {
    Site site{.branch = mlp(pia.gain)};
    site.pia = pia;
    site.pia->gain.reset();
    served("gain folded", site);
  }
  void served(const std::string& how, const Site& site) {
    // The gate of LaVIN leaves out the modality token, which the case's gate does too.
    std::vector<nn::LayerState> states(1);
    compare("skipped.prompt.y", layer(site, input("prompt"), &states, true), how);
    compare("skipped.decode_frozen_mean.y", layer(site, input("decode"), &states, false), how);
  }

  nn::Mlp mlp(const std::optional<Tensor>& gain) {
    const nn::Linear w1 = linear("feed_forward.w1"), w3 = linear("feed_forward.w3");
    return {gain ? nn::folded(w1, *gain) : w1,
            gain ? nn::folded(w3, *gain) : w3,
            {weight("feed_forward.w2.weight"), std::nullopt}};
  }

  /// x through norm1 and a layer of this one site.  x: [1, rows, hidden]
  Tensor layer(Site site, const Tensor& x, std::vector<nn::LayerState>* states, bool prompt) {
    site.kind = Site::Kind::feed_forward;
    site.norm = norm();
    routing::Sequence sequence{.prompt_end = prompt ? routing::Sequence::kEveryRow : 0};
    if (states) sequence.states = *states;
    routing::Batch batch =
        batch_of(sequence, std::vector<routing::RowKind>(static_cast<size_t>(x.size(1)), routing::RowKind::text));
    return routing::Executor(std::move(batch), "decoder", 1).run({{std::move(site)}, std::nullopt}, 0, x[0]);
  }

  /// LaVIN-EAS: over norm1 of the prompt without the modality token.
  Tensor gate_of(const nn::AdapterGate& gate) {
    const Tensor normed = norm()(input("prompt").flatten(0, 1));
    return gate(normed.narrow(0, 1, normed.size(0) - 1).mean(0, true))[0];
  }
  nn::Norm norm() {
    return {nn::Norm::Kind::rms, weight("attention_norm.weight"), std::nullopt, settings_.at("norm_eps").get<double>()};
  }
  nn::Linear folded(const std::string& run, const std::string& name, const nn::AdapterMap& map) {
    const nn::Linear result = nn::folded(linear(name), map);
    compare(run + ".folded." + name + ".weight", result.weight.widened(at::kDouble));
    compare(run + ".folded." + name + ".bias", *result.bias);
    return result;
  }

  Tensor weight(const std::string& name) const { return weights_[name]; }
  Tensor input(const std::string& name) const { return inputs_[name]; }
  nn::Linear linear(const std::string& name) const { return weights_.linear(name); }
  nn::GatedUp up(const std::string& name) const {
    return weights_.up(name, settings_.at("groups").get<int64_t>(), settings_.at("scale").get<double>());
  }
  nn::AdapterGate gate(const std::string& name) const {
    return {linear(name + ".expert_weights"), settings_.at("t").get<double>(), 1};
  }

  void compare(const std::string& name, const Tensor& actual, const std::string& how = {}) {
    const Tensor flat = actual.contiguous();
    check_.doubles(how.empty() ? name : name + " (" + how + ")", golden_.expected.tensors.at(name),
                   {flat.const_data_ptr<double>(), static_cast<size_t>(flat.numel())}, kExact);
  }

  const Case& golden_;
  Check& check_;
  const Json& settings_;
  TensorFile weights_, inputs_;
};

}  // namespace

Check run_fold(const Case& golden) {
  const c10::InferenceMode no_gradients;
  Check check;
  FoldRun run(golden, check);
  run.kept();
  run.skipped();
  run.meter();
  check.skip("published biases (W' r in place of W r)");
  return check;
}

}  // namespace lithe::golden

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <map>

#include "base/error.h"
#include "checkpoints/read/weights.h"
#include "golden/cases.h"
#include "golden/sample_run.h"
#include "routing/adapter_site.h"

namespace lithe::golden {
namespace {

using at::Tensor;
using routing::apply_pia;
using routing::apply_rep_adapter;

/// Several sequences of equally many rows, as adapters see them.
struct Pass {
  /// x: [sequences, rows, hidden]; states: one layer each, or absent.
  Pass(const Tensor& x, std::vector<std::vector<nn::LayerState>>* states, bool prompt) : rows(x.flatten(0, 1)) {
    for (int64_t i = 0; i < x.size(0); ++i) {
      routing::Sequence sequence{.prompt_end = prompt ? routing::Sequence::kEveryRow : 0};
      if (states) sequence.states = states->at(static_cast<size_t>(i));
      batch.sequences.push_back(sequence);
      batch.offsets.push_back((i + 1) * x.size(1));
    }
    sequences = routing::whole_range(batch.offsets);
  }
  Tensor pia(const nn::Pia& pia) { return apply_pia(pia, rows, sequences, context); }
  Tensor rep(const nn::RepAdapter& adapter) {
    return apply_rep_adapter(adapter, rows, sequences, context, routing::Site::Kind::self);
  }

  Tensor rows;
  routing::SequenceRange sequences;
  routing::Batch batch{.offsets = {0}};
  routing::RowSets sets;
  std::optional<routing::OtherStream> other;
  routing::SiteContext context{batch, sets, 0, other, nullptr, {}, std::nullopt};
};

/// One setting ("s0") of a case: its adapters with weights that ask for gradients.
class Setting {
 public:
  Setting(const Case& golden, Check& check, std::string name)
      : golden_(golden),
        check_(check),
        name_(std::move(name)),
        numbers_(golden.json.at("settings").at(name_)),
        weights_(io::open_safetensors(golden.folder / "checkpoint/adapters.safetensors")),
        inputs_(io::open_safetensors(golden.folder / "inputs/inputs.safetensors")) {}

  /// Gate over the mean of tokens 1.., given from outside too.
  void lavin() {
    values("pia.train", [&](Pass& pass) { return pass.pia(pia(1)); });
    values("rep.train", [&](Pass& pass) { return pass.rep(rep(1)); });
    if (has("pia.gate")) {
      std::vector<std::vector<nn::LayerState>> states = fresh();
      Pass(input("x"), &states, true).pia(pia(1));
      compare("pia.gate", gates(states, &nn::LayerState::pia_gate));
    }
    std::vector<std::vector<nn::LayerState>> states = fresh();
    for (size_t i = 0; i < states.size(); ++i)
      states[i][0].pia_gate = states[i][0].attention_gate = input("weights")[static_cast<int64_t>(i)];
    compare("pia.given_gate.y", Pass(input("x"), &states, false).pia(pia(1)));
    compare("rep.given_gate.y", Pass(input("x"), &states, false).rep(rep(1)));
    if (has("rep.clip_layout.y")) {
      Pass pass(input("x"), nullptr, true);
      const Tensor y = pass.rep(rep(1)).view(input("x").sizes());
      compare("rep.clip_layout.y", y.transpose(0, 1).contiguous());
    }
    decode_as_published();
    check_.skip("LaVIN's decode with a running mean");
  }

  /// Each step is a pass of its own, whose mean is that of its row.
  void decode_as_published() {
    nn::Pia adapter = pia(1);
    adapter.freezes_mean = false;
    std::vector<std::vector<nn::LayerState>> states = fresh();
    for (size_t i = 0; i < states.size(); ++i) states[i][0].pia_gate = input("weights")[static_cast<int64_t>(i)];
    const Tensor steps = input("decode_x");
    std::vector<Tensor> rows;
    for (int64_t step = 0; step < steps.size(1); ++step)
      rows.push_back(Pass(steps.narrow(1, step, 1), &states, false).pia(adapter));
    compare("pia.decode_as_published.y", at::stack(rows, 1));
  }

  /// Gate and mean over the question in training; over all tokens in evaluation, frozen for decoding.
  void llava() {
    values("pia.train", [&](Pass& pass) { return ask(pass).pia(pia(0)); });
    values("rep.train", [&](Pass& pass) { return ask(pass).rep(rep(0)); });
    std::vector<std::vector<nn::LayerState>> asked = fresh();
    Pass pass(input("x"), &asked, true);
    ask(pass).pia(pia(0));
    pass.rep(rep(0));
    compare("pia.train.gate", gates(asked, &nn::LayerState::pia_gate));
    compare("rep.train.gate", gates(asked, &nn::LayerState::attention_gate));
    values("pia.eval", [&](Pass& pass) { return pass.pia(pia(0)); });
    values("rep.eval", [&](Pass& pass) { return pass.rep(rep(0)); });
    std::vector<std::vector<nn::LayerState>> states = fresh();
    Pass(input("x"), &states, true).pia(pia(0));
    Pass(input("x"), &states, true).rep(rep(0));
    compare("pia.eval.gate", gates(states, &nn::LayerState::pia_gate));
    compare("rep.eval.gate", gates(states, &nn::LayerState::attention_gate));
    compare("pia.decode.y", Pass(input("decode_x"), &states, false).pia(pia(0)));
    compare("rep.decode.y", Pass(input("decode_x"), &states, false).rep(rep(0)));
  }

  /// No gate and no residual; the mean is over the other stream.
  void meter() {
    const auto ungated = [&] {
      nn::Pia pia{linear("pia.conv_A"), linear("pia.conv_C"), up("pia", false)};
      pia.residual = false;
      return pia;
    };
    const Tensor other = input("x_other").set_requires_grad(true);
    const auto branch = [&](Pass& pass, const Pass& read) {
      return routing::pia_branch(ungated(), pass.rows, pass.sequences, read.rows, read.sequences);
    };
    values("pia.self", [&](Pass& pass) { return branch(pass, pass); });
    values("pia.cross", [&](Pass& pass) { return branch(pass, Pass(other, nullptr, true)); });
    gradient("pia.cross.grad_x_other", other.grad());
    values("rep", [&](Pass& pass) { return pass.rep({linear("rep.conv_C"), up("rep", false), std::nullopt}); });
  }

 private:
  bool has(const std::string& name) const { return golden_.expected.tensors.contains(name_ + "." + name); }
  Tensor input(const std::string& name) const {
    return models::tensor_over(inputs_.tensors.at(name_ + "." + name)).clone();
  }
  std::vector<std::vector<nn::LayerState>> fresh() const {
    return std::vector<std::vector<nn::LayerState>>(static_cast<size_t>(input("x").size(0)),
                                                    std::vector<nn::LayerState>(1));
  }
  static Tensor gates(const std::vector<std::vector<nn::LayerState>>& states,
                      std::optional<Tensor> nn::LayerState::*slot) {
    std::vector<Tensor> rows;
    for (const auto& layers : states) rows.push_back(*(layers[0].*slot));
    return at::stack(rows);
  }

  /// Leaves the rows after the question out of every gate and mean.
  Pass& ask(Pass& pass) const {
    for (int64_t i = 0; i < input("x").size(0); ++i)
      pass.sequences.scopes[static_cast<size_t>(i)] = (input("question_mask")[i] != 0).sum().item<int64_t>();
    return pass;
  }

  /// A weight as stored ([out, in, 1]), one leaf for each name.
  Tensor leaf(const std::string& name) {
    const auto [found, is_new] = leaves_.try_emplace(name);
    if (is_new)
      found->second = models::tensor_over(weights_.tensors.at(name_ + "." + name)).clone().set_requires_grad(true);
    return found->second;
  }
  nn::Linear linear(const std::string& name) { return {leaf(name + ".weight").squeeze(-1), leaf(name + ".bias")}; }
  nn::GatedUp up(const std::string& name, bool two_paths) {
    nn::GatedUp up{leaf(name + ".conv_B.weight").squeeze(-1), leaf(name + ".conv_B.bias")};
    if (two_paths) {
      up.d_weight = leaf(name + ".conv_D.weight").squeeze(-1);
      up.d_bias = leaf(name + ".conv_D.bias");
    }
    up.groups = numbers_.at("groups").get<int64_t>();
    up.scale = numbers_.at("scale").get<double>();
    return up;
  }
  nn::AdapterGate gate(const std::string& name, int64_t left_out) {
    nn::Linear router{leaf(name + ".expert_weights.weight"), std::nullopt};
    const std::string bias = name + ".expert_weights.bias";
    if (weights_.tensors.contains(name_ + "." + bias)) router.bias = leaf(bias);
    return {router, numbers_.at("t").get<double>(), left_out};
  }
  nn::Pia pia(int64_t left_out) {
    return {linear("pia.conv_A"), linear("pia.conv_C"), up("pia", true), gate("pia", left_out)};
  }
  nn::RepAdapter rep(int64_t left_out) { return {linear("rep.conv_A"), up("rep", true), gate("rep", left_out)}; }

  /// "NAME.y", and "NAME.grad*" of sum(y * gy), if the case has them.
  template <class Run>
  void values(const std::string& name, const Run& run) {
    if (!has(name + ".y")) return;
    leaves_.clear();
    const Tensor x = input("x").set_requires_grad(true);
    Pass pass(x, nullptr, true);
    const Tensor y = run(pass);
    compare(name + ".y", y);
    (y.view(x.sizes()) * input("gy")).sum().backward();
    const std::string adapter = name.substr(0, name.find('.'));
    if (has(name + ".grad_x")) gradient(name + ".grad_x", x.grad());
    for (const auto& [weight, tensor] : leaves_) {
      const std::string expected = name + ".grad." + weight.substr(adapter.size() + 1);
      if (has(expected)) gradient(expected, tensor.grad());
    }
  }

  void compare(const std::string& name, const Tensor& actual) { differ(name, actual, "y"); }
  void gradient(const std::string& name, const Tensor& actual) { differ(name, actual, "grads"); }
  void differ(const std::string& name, const Tensor& actual, const char* kind) {
    if (!has(name)) return;
    const std::string whole = name_ + "." + name;
    check_.floats(whole, golden_.expected.tensors.at(whole), values_of(actual.detach()), golden_.tolerances.of({kind}));
  }

  const Case& golden_;
  Check& check_;
  std::string name_;
  const Json& numbers_;
  io::SafetensorsFile weights_, inputs_;
  std::map<std::string, Tensor> leaves_;
};

}  // namespace

Check run_adapters(const Case& golden) {
  Check check;
  const std::string name = golden.json.at("case").get<std::string>(), host = name.substr(name.rfind('/') + 1);
  for (const auto& [setting, numbers] : golden.json.at("settings").items()) {
    Setting run(golden, check, setting);
    if (host == "lavin")
      run.lavin();
    else if (host == "llava")
      run.llava();
    else if (host == "meter")
      run.meter();
  }
  return check;
}

}  // namespace lithe::golden

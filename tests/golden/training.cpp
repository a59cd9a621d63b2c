#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/abs.h>
#include <fmt/format.h>

#include <set>

#include "base/error.h"
#include "checkpoints/read/catalogue.h"
#include "checkpoints/read/layouts.h"
#include "checkpoints/read/weights.h"
#include "data/data_set.h"
#include "golden/cases.h"
#include "golden/device.h"
#include "golden/sample_run.h"
#include "session/generation.h"
#include "text/labels.h"
#include "tune/schedule.h"
#include "tune/trainer.h"

namespace lithe::golden {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

/// A public p-MoD checkpoint that is trained as the public code does, over the case's one batch.
class TrainingRun {
 public:
  TrainingRun(const Case& golden, Check& check)
      : golden_(golden), check_(check), form_(forms_of(golden.folder).at(0)) {}

  void labels() {
    const Opened opened = open();
    int64_t columns = shape("labels").at(1), i = 0;
    std::vector<int64_t> ids, labels;
    for (const tune::Sample& sample : samples(*opened.model, 2048)) {
      ids.insert(ids.end(), sample.ids.begin(), sample.ids.end());
      labels.insert(labels.end(), sample.labels.begin(), sample.labels.end());
      ids.resize(static_cast<size_t>(++i * columns), pad_of(*opened.model));
      labels.resize(static_cast<size_t>(i * columns), text::kIgnored);
    }
    integers("input_ids", ids);
    integers("labels", labels);
    merged(*opened.model);
  }

  void gradients() {
    const Opened opened = open();
    const std::vector<tune::Sample> batch = samples(*opened.model, 2048);
    std::vector<tune::Parameter> parameters = tune::learning_parameters(*opened.model);
    const tune::TrainingRows rows = tune::pack_samples(*opened.model, opened.model->plan, batch, {});
    const Tensor loss =
        tune::summed_loss(opened.model->decoder, rows, kept_by_layer()) / static_cast<double>(rows.learnt());
    loss.backward();
    number("loss", loss.item<double>(), {"loss"});
    for (const tune::Parameter& parameter : parameters) {
      const std::string name = "grad." + published_name(*opened.model, parameter.name);
      floats(name, parameter.values.grad(), {"grad"});
    }
    number("textonly.loss", loss_of(*opened.model, std::span(batch).subspan(1, 1), 2048), {"loss"});
    const std::vector<tune::Sample> cut = samples(*opened.model, 178);
    number("trunc.loss", loss_of(*opened.model, cut, 178), {"loss"});
  }

  void steps(const std::string& name, const tune::TrainerOptions& options, const tune::RateShape& shape) {
    const Opened opened = open();
    const std::vector<tune::Parameter> parameters = tune::learning_parameters(*opened.model);
    const std::vector<Tensor> before = copies(parameters);
    tune::Trainer trainer(*opened.model, opened.model->plan, options);
    const std::vector<tune::Sample> batch = samples(*opened.model, 2048);
    const tune::MicroBatch whole(batch);
    std::vector<double> losses, norms, rates;
    for (int64_t step = 0; step < 5; ++step) {
      const double factor = tune::rate_factor(shape, step);
      for (const tune::ParameterGroup& group : trainer.optimiser().groups())
        rates.push_back(group.learning_rate * factor);
      const tune::StepResult result = trainer.step({&whole, 1}, factor);
      losses.push_back(result.loss);
      norms.push_back(result.grad_norm);
    }
    doubles(name + ".losses", losses, {"losses_after_steps"});
    checksums(name, *opened.model, parameters, before);
    doubles(name + ".grad_norms", norms, {"losses_after_steps"});
    doubles(name + ".lrs", rates, {"loss"});
    number(name + ".final_loss", trainer.loss(batch), {"losses_after_steps"});
  }

  /// Every router begins from zeros, so at first all weights are equal. Which rows PyTorch keeps then depends on its
  /// kernel. So layers are given the rows that it kept until their router differs from zero; the last one never does,
  /// as no later layer reads the rows that it weighs.
  void zero_routers() {
    const Opened opened = open();
    models::Model& model = *opened.model;
    const std::vector<tune::Parameter> parameters = tune::learning_parameters(model);
    std::vector<tune::Parameter> routers;
    for (const tune::Parameter& parameter : parameters)
      if (published_name(model, parameter.name).find(".router.") != std::string::npos) routers.push_back(parameter);
    {
      const at::NoGradGuard no_gradient;
      for (tune::Parameter& router : routers) router.values.zero_();
    }
    const std::vector<Tensor> before = copies(parameters);
    tune::Trainer trainer(model, model.plan, {.rates = {.learning_rate = 1e-3}, .max_grad_norm = 0});
    const std::vector<tune::Sample> batch = samples(model, 2048);
    std::vector<double> losses;
    for (int64_t step = 0; step < 5; ++step) {
      trainer.optimiser().forget_gradients();
      losses.push_back(gradients_with_given_rows(model, routers, batch));
      if (step == 0) {
        number("zero.loss", losses[0], {"loss"});
        for (const tune::Parameter& router : routers)
          floats("zero.grad." + published_name(model, router.name), router.values.grad(), {"grad"});
      }
      trainer.optimiser().step(1.0);
    }
    doubles("zero.losses", losses, {"losses_after_steps"});
    checksums("zero", model, parameters, before);
  }

 private:
  struct Opened {
    std::unique_ptr<TempFolder> temp;
    std::unique_ptr<models::Model> model;
  };

  /// The decoder and the projector learn; the tower does not.
  Opened open() const {
    Opened opened{std::make_unique<TempFolder>(), nullptr};
    opened.model = models::open_model(assemble(form_, Json::object(), *opened.temp),
                                      {.device = device(), .learns = [](const models::WeightName& name) {
                                         return name.part != models::Part::tower;
                                       }});
    return opened;
  }

  std::vector<tune::Sample> samples(const models::Model& model, int64_t longest) const {
    const auto set = data::DataSet::open({.path = golden_.folder / "inputs/data.json"});
    std::vector<tune::Sample> all;
    for (int64_t i = 0; i < set->size(); ++i)
      all.push_back(
          tune::make_sample(model, set->read(i), {.conversation = "vicuna_v1", .longest = longest, .cuts = true}));
    return all;
  }

  static double loss_of(const models::Model& model, std::span<const tune::Sample> samples, int64_t longest) {
    const tune::TrainingRows rows = tune::pack_samples(model, model.plan, samples, {.longest = longest});
    return tune::summed_loss(model.decoder, rows).item<double>() / static_cast<double>(rows.learnt());
  }

  static std::vector<Tensor> copies(const std::vector<tune::Parameter>& parameters) {
    std::vector<Tensor> values;
    for (const tune::Parameter& parameter : parameters) values.push_back(parameter.values.detach().clone());
    return values;
  }

  /// The mean loss, and its gradients, if layers whose router is zero keep the rows of `zero.layer*.kept_all`.
  double gradients_with_given_rows(const models::Model& model, const std::vector<tune::Parameter>& routers,
                                   const std::vector<tune::Sample>& batch) {
    std::set<int64_t> choosing;
    for (const tune::Parameter& router : routers)
      if (router.values.detach().abs().sum().item<double>() > 0) choosing.insert(router.name.layer);
    plan::Plan plan = model.plan;
    for (plan::LayerPlan& layer : plan.layers)
      for (plan::Rule& rule : layer.rules)
        if (!choosing.contains(layer.layer)) rule.by = "given";
    tune::TrainingRows rows = tune::pack_samples(model, plan, batch, {});
    std::vector<std::shared_ptr<std::vector<float>>> kept;
    for (routing::Sequence& sequence : rows.batch.sequences) {
      kept.push_back(std::make_shared<std::vector<float>>(rows.rows()));
      sequence.picture_scores = kept.back();
    }
    const auto give_next = [&](const routing::LayerReport& report) {
      const std::string name = fmt::format("zero.layer{}.kept_all", report.layer + 1);
      if (!golden_.expected.tensors.contains(name)) return;
      const std::vector<int64_t> all = integers_of(golden_.expected.tensors.at(name));
      const auto columns = static_cast<size_t>(shape(name).at(1));
      for (size_t s = 0; s < kept.size(); ++s) {
        std::fill(kept[s]->begin(), kept[s]->end(), 0.0f);
        for (const int64_t row : std::span(all).subspan(s * columns, columns))
          if (row >= 0) kept[s]->at(static_cast<size_t>(row)) = 1;
      }
    };
    const Tensor loss = tune::summed_loss(model.decoder, rows, give_next) / static_cast<double>(rows.learnt());
    loss.backward();
    return loss.item<double>();
  }

  /// Compares the rows that each layer keeps.
  routing::Observer kept_by_layer() {
    return [this](const routing::LayerReport& report) {
      const std::string name = fmt::format("layer{}.kept_all", report.layer);
      if (!golden_.expected.tensors.contains(name)) return;
      const std::vector<int64_t> kept = session::positions_run(report);
      const std::vector<int64_t>& offsets = report.rows->active.offsets;
      const auto columns = static_cast<size_t>(shape(name).at(1));
      std::vector<int64_t> padded;
      for (size_t s = 0; s + 1 < offsets.size(); ++s) {
        padded.insert(padded.end(), kept.begin() + offsets[s], kept.begin() + offsets[s + 1]);
        padded.resize((s + 1) * columns, -1);
      }
      integers(name, padded);
    };
  }

  /// Labels after pictures took the places of their marks: each row's own, not that of the next.
  void merged(const models::Model& model) {
    const std::vector<tune::Sample> batch = samples(model, 2048);
    const tune::TrainingRows rows = tune::pack_samples(model, model.plan, batch, {});
    const int64_t columns = shape("merged.labels").at(1);
    std::vector<int64_t> labels;
    for (size_t s = 0; s < batch.size(); ++s) {
      labels.push_back(text::kIgnored);
      labels.insert(labels.end(), rows.targets.begin() + rows.batch.offsets[s],
                    rows.targets.begin() + rows.batch.offsets[s + 1] - 1);
      labels.resize((s + 1) * static_cast<size_t>(columns), text::kIgnored);
    }
    integers("merged.labels", labels);
  }

  static int64_t pad_of(const models::Model& model) { return model.prompting.tokenizer->pad().value_or(0); }

  /// As the checkpoint calls a weight.
  static std::string published_name(const models::Model& model, const models::WeightName& name) {
    return model.loaded.origins.at(name).name;
  }

  void checksums(const std::string& name, const models::Model& model, const std::vector<tune::Parameter>& parameters,
                 const std::vector<Tensor>& before) {
    const std::string full = name + ".checksums";
    std::map<std::string, std::array<double, 3>> sums;
    for (size_t i = 0; i < parameters.size(); ++i) {
      const Tensor x = parameters[i].values.detach().to(at::kDouble), moved = x - before[i].to(at::kDouble);
      sums[published_name(model, parameters[i].name)] = {x.sum().item<double>(), x.abs().sum().item<double>(),
                                                         moved.abs().sum().item<double>()};
    }
    const auto expected = golden_.expected.tensors.at(full).values<double>();
    size_t row = 0;
    for (const Json& parameter : golden_.json.at("parameter_names_in_checksum_order")) {
      const std::array<double, 3>& sum = sums.at(parameter.get<std::string>());
      const double exact = 1e-4 * golden_.tolerances.times(), moved = 1e-2 * golden_.tolerances.times();
      // A sum of numbers of either sign is as exact as the numbers' own sizes allow.
      near(fmt::format("{} of {}", full, parameter.get<std::string>()), expected[3 * row], sum[0],
           exact * expected[3 * row + 1]);
      near(full, expected[3 * row + 1], sum[1], exact * expected[3 * row + 1]);
      near(full, expected[3 * row + 2], sum[2], moved * expected[3 * row + 2] + 1e-9);
      ++row;
    }
  }

  void near(const std::string& name, double expected, double actual, double most) {
    check_.near(name, expected, actual, most);
  }
  const std::vector<int64_t>& shape(const std::string& name) const { return golden_.expected.tensors.at(name).shape; }
  void integers(const std::string& name, const std::vector<int64_t>& actual) {
    check_.integers(name, integers_of(golden_.expected.tensors.at(name)), actual);
  }
  void floats(const std::string& name, const Tensor& actual, std::initializer_list<const char*> kinds) {
    check_.floats(name, golden_.expected.tensors.at(name), values_of(actual), golden_.tolerances.of(kinds));
  }
  void doubles(const std::string& name, const std::vector<double>& actual, std::initializer_list<const char*> kinds) {
    check_.doubles(name, golden_.expected.tensors.at(name), actual, golden_.tolerances.of(kinds));
  }
  void number(const std::string& name, double actual, std::initializer_list<const char*> kinds) {
    const io::TensorView& expected = golden_.expected.tensors.at(name);
    const double wanted =
        expected.dtype == io::Dtype::float64 ? expected.values<double>()[0] : expected.values<float>()[0];
    near(name, wanted, actual, golden_.tolerances.of(kinds).absolute);
  }

  const Case& golden_;
  Check& check_;
  CheckpointForm form_;
};

}  // namespace

Check run_training(const Case& golden) {
  Check check;
  TrainingRun run(golden, check);
  run.labels();
  run.gradients();
  const tune::Rates plain{.learning_rate = 1e-3};
  const tune::RateShape constant{.kind = tune::LrSchedule::constant, .steps = 5};
  run.steps("adamw_a", {.rates = plain, .max_grad_norm = 0}, constant);
  run.zero_routers();
  run.steps("adamw_b",
            {.rates = {.learning_rate = 1e-3, .mm_projector_lr = 2e-4, .weight_decay = 0.1}, .max_grad_norm = 1.0},
            {.kind = tune::LrSchedule::cosine, .warmup_steps = 1, .steps = 5});
  return check;
}

}  // namespace lithe::golden

#include "cli/prediction.h"

#include <fmt/format.h>

#include "base/vector_set.h"
#include "cli/machine.h"
#include "cli/progress.h"
#include "session/machine_speed.h"

namespace lithe::cli {

plan::MachineSpeed speed_of_machine(const std::string& weights, const CommonOptions& options) {
  Progress progress("measuring this machine");
  progress.show("some seconds, once");
  const std::string machine =
      fmt::format("{}, {}, {} threads", processor_name(), name_of(vector_set()), threads_of(options));
  return session::machine_speed(weights, machine, session::speed_file());
}

Prediction predict(const std::string& weights, const CommonOptions& options, const plan::ModelFacts& model,
                   const plan::CostTable& table) {
  const plan::MachineSpeed speed = speed_of_machine(weights, options);
  return {weights, plan::predicted(table, model, speed), plan::predicted_dense(table, model, speed)};
}

std::string to_text(const Prediction& prediction) {
  const auto& [weights, plan, dense] = prediction;
  std::string text =
      fmt::format("{:<32}{:>12}{:>12}{:>12}\n", "predicted, " + weights + " weights", "plan", "dense", "share");
  const auto line = [&](const char* what, double ms, double dense_ms) {
    if (dense_ms > 0)
      text += fmt::format("{:<32}{:>9.1f} ms{:>9.1f} ms{:>10.1f} %\n", what, ms, dense_ms, 100 * ms / dense_ms);
  };
  line("tower and projector", plan.image, dense.image);
  line("prefill", plan.prefill, dense.prefill);
  line("a token after it", plan.decode, dense.decode);
  return text;
}

Json to_json(const Prediction& prediction) {
  const auto times = [](const plan::PredictedTimes& times) {
    return Json{{"image_ms", times.image}, {"prefill_ms", times.prefill}, {"decode_ms", times.decode}};
  };
  return {{"weight_type", prediction.weights}, {"plan", times(prediction.plan)}, {"dense", times(prediction.dense)}};
}

}  // namespace lithe::cli

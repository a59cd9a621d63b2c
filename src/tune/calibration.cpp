#include "tune/calibration.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "data/data_set.h"
#include "models/calibrated_codes.h"
#include "models/low_bit_weights.h"
#include "models/model.h"
#include "ops/error_feedback.h"
#include "tune/recipe_data.h"
#include "tune/record_order.h"
#include "tune/record_passes.h"

namespace lithe::tune {
namespace {

using models::Role;
using models::WeightName;

/// Weights that int4 rounds, and what their products read.
class Watched {
 public:
  void add(const models::WeightSlot& slot) {
    const auto codes = models::codes_for(slot.name, slot.shape, models::WeightStorage::int4);
    if (!slot.linear || !codes || codes->kind != ops::WeightKind::int4) return;
    weights_[slot.name] = {&slot.linear->weight, codes->group};
  }

  void begin() {
    for (auto& [name, watched] : weights_) {
      if (source_of(name) != name) continue;
      watched.gram = std::make_shared<ops::InputGram>();
      watched.weight->watch(watched.gram);
    }
  }

  /// Rounds all and watches no longer.
  void end(const std::string& model, models::CalibratedCodes& codes, Calibration& done) {
    for (const auto& [name, watched] : weights_) {
      const std::shared_ptr<ops::InputGram>& gram = weights_.at(source_of(name)).gram;
      watched.weight->watch(nullptr);
      if (gram->rows() == 0) {
        ++done.unread;
        continue;
      }
      require(gram->sums().isfinite().all().item<bool>(), Fault::bad_file, model, ": ", text_of(name),
              " reads numbers that are not finite; are the weights damaged?");
      codes.of[name] = ops::quantised_for(watched.weight->widened(at::kFloat), watched.group, gram->sums());
    }
    weights_.clear();
  }

 private:
  struct One {
    nn::Weight* weight = nullptr;
    int64_t group = 0;
    std::shared_ptr<ops::InputGram> gram;
  };

  /// The weight of the same layer whose products read the same rows, as far as plans let them; if there is none,
  /// itself.
  WeightName source_of(const WeightName& name) const {
    WeightName source = name;
    if (name.role == Role::key || name.role == Role::value) source.role = Role::query;
    if (name.role == Role::up) source.role = Role::gate;
    return weights_.contains(source) ? source : name;
  }

  std::map<WeightName, One> weights_;
};

/// Rows of some records on their way through the decoder.
struct Running {
  routing::Executor executor;
  at::Tensor x;
};

class Run {
 public:
  Run(models::Model& model, const CalibrationOptions& options, Calibration& done)
      : model_(model), options_(options), done_(done) {}

  /// Layer by layer, so that only one layer's grams are held.
  models::CalibratedCodes codes() {
    const at::NoGradGuard no_gradient;
    read_records();
    for (size_t layer = 0; layer < model_.decoder.blocks.size(); ++layer) run(static_cast<int64_t>(layer));
    return std::move(codes_);
  }

 private:
  void read_records() {
    const image::DecodeOptions decode =
        model_.vision ? model_.vision->preprocess.decode_options() : image::DecodeOptions{};
    const auto set = open_set(options_.data, model_.family, decode);
    require(set->size() > 0, Fault::bad_file, in_quotes(options_.data.path), " holds no record.");
    const std::vector<int64_t> records =
        drawn_records(set->size(), std::min(set->size(), options_.records), options_.seed);
    Watched tower;
    if (model_.vision) visit(*model_.vision, [&](const models::WeightSlot& slot) { tower.add(slot); });
    tower.begin();
    each_pass(model_, model_.plan, *set, records, [&](TrainingRows rows) {
      done_.rows += rows.rows();
      running_.push_back({model_.decoder.executor(std::move(rows.batch), rows.embeddings), rows.embeddings});
    });
    tower.end(model_.name, codes_, done_);
    done_.records = std::ssize(records);
  }

  void run(int64_t layer) {
    Watched watched;
    visit(model_.decoder, [&](const models::WeightSlot& slot) {
      if (slot.name.layer == layer) watched.add(slot);
    });
    watched.begin();
    routing::Block& block = model_.decoder.blocks[static_cast<size_t>(layer)];
    for (Running& running : running_) running.x = running.executor.run(block, layer, std::move(running.x));
    watched.end(model_.name, codes_, done_);
    if (options_.on_layer) options_.on_layer(layer + 1, std::ssize(model_.decoder.blocks));
  }

  models::Model& model_;
  const CalibrationOptions& options_;
  Calibration& done_;
  models::CalibratedCodes codes_;
  std::vector<Running> running_;
};

}  // namespace

models::Quantised quantise_for(const CalibrationOptions& calibration, const std::filesystem::path& from,
                               const std::filesystem::path& to, models::QuantiseOptions options, Calibration& done,
                               const io::OnBytes& on_bytes) {
  options.calibrate = [&](models::Model& model) { return Run(model, calibration, done).codes(); };
  return models::quantise_folder(from, to, options, on_bytes);
}

}  // namespace lithe::tune

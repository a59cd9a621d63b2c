#include "tune/calibration.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/data_set.h"
#include "models/calibrated_codes.h"
#include "models/low_bit_weights.h"
#include "models/model.h"
#include "nn/input_gram.h"
#include "ops/error_feedback.h"
#include "session/prompt_rows.h"
#include "tune/recipe_options.h"
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
    inputs_[first_of(slot.name)].readers.push_back({slot.name, &slot.linear->weight, codes->group});
  }

  void begin() {
    for (auto& [first, input] : inputs_) {
      input.gram = std::make_shared<nn::InputGram>();
      input.readers.front().weight->watch(input.gram);
    }
  }

  /// Rounds all, and watches no longer.
  void end(const std::string& model, models::CalibratedCodes& codes, int64_t& unread) {
    for (auto& [first, input] : inputs_) {
      input.readers.front().weight->watch(nullptr);
      if (input.gram->rows() == 0) {
        unread += std::ssize(input.readers);
        continue;
      }
      require(input.gram->sums().isfinite().all().item<bool>(), Fault::bad_file, model, ": ",
              text_of(input.readers.front().name), " reads numbers that are not finite; are the weights damaged?");
      const at::Tensor feedback = ops::error_feedback(input.gram->take());
      for (const Reader& reader : input.readers) {
        const at::Tensor stored = reader.weight->widened(reader.weight->type());
        codes.by_name[reader.name] = ops::quantised_with(stored, reader.group, feedback);
      }
    }
    inputs_.clear();
  }

 private:
  struct Reader {
    WeightName name;
    nn::Weight* weight;
    int64_t group;
  };
  struct Input {
    std::shared_ptr<nn::InputGram> gram;
    std::vector<Reader> readers;  // of the same rows
  };

  /// Stands for all weights of a layer that read what this one reads.
  static WeightName first_of(WeightName name) {
    if (name.role == Role::value) name.role = Role::key;
    if (name.role == Role::up) name.role = Role::gate;
    return name;
  }

  std::map<WeightName, Input> inputs_;
};

/// Rows of some records on their way through the decoder.
struct Running {
  routing::Executor executor;
  at::Tensor x;
};

class Run {
 public:
  Run(models::Model& model, const CalibrationOptions& options, Calibrated& done)
      : model_(model), options_(options), done_(done) {}

  /// Layer by layer, so that only one layer's sums are held.
  models::CalibratedCodes codes() {
    const at::NoGradGuard no_gradient;
    read_records();
    for (size_t layer = 0; layer < model_.decoder.blocks.size(); ++layer) run(static_cast<int64_t>(layer));
    return std::move(codes_);
  }

 private:
  void read_records() {
    const auto set = open_records(options_.data, model_);
    const std::vector<int64_t> records =
        drawn_records(set->size(), std::min(set->size(), options_.records), options_.seed);
    Watched tower;
    if (model_.vision) visit(*model_.vision, [&](const models::WeightSlot& slot) { tower.add(slot); });
    tower.begin();
    const SampleOptions as_sample{.longest = session::longest_sequence(model_), .cuts = true};
    each_pass({model_, model_.plan, as_sample}, *set, records, [&](TrainingRows rows) {
      done_.rows += rows.rows();
      running_.push_back({model_.decoder.executor(std::move(rows.batch), rows.embeddings), rows.embeddings});
    });
    tower.end(model_.name, codes_, done_.unread);
    done_.records = std::ssize(records);
  }

  void run(int64_t layer) {
    Watched watched;
    visit(model_.decoder, [&](const models::WeightSlot& slot) {
      if (slot.name.layer == layer) watched.add(slot);
    });
    watched.begin();
    const routing::Block& block = model_.decoder.blocks[static_cast<size_t>(layer)];
    for (Running& running : running_) running.x = running.executor.run(block, layer, std::move(running.x));
    watched.end(model_.name, codes_, done_.unread);
    if (options_.on_layer) options_.on_layer(layer + 1, std::ssize(model_.decoder.blocks));
  }

  models::Model& model_;
  const CalibrationOptions& options_;
  Calibrated& done_;
  models::CalibratedCodes codes_;
  std::vector<Running> running_;
};

}  // namespace

Calibrated quantise_for(const CalibrationOptions& calibration, const std::filesystem::path& from,
                        const std::filesystem::path& to, models::QuantiseOptions options, const io::OnBytes& on_bytes) {
  Calibrated done;
  options.calibrate = [&](models::Model& model) { return Run(model, calibration, done).codes(); };
  done.folder = models::quantise_folder(from, to, options, on_bytes);
  return done;
}

}  // namespace lithe::tune

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "io/checkpoint.h"
#include "tune/step_log.h"
#include "tune/support.h"

namespace lithe::tune::test {

/// The golden METER, the tests' tokenizer, and questions about two pictures.
class MeterCase : public ::testing::Test {
 protected:
  MeterCase() {
    const fs::path data = LITHE_TEST_DATA;
    fs::copy_file(data / "golden/meter/checkpoint/meter.ckpt", temp_ / "meter.ckpt");
    fs::copy_file(data / "meter/tokenizer.json", temp_ / "tokenizer.json");
    recipe_.file = "recipe.yaml";
    recipe_.model_name_or_path = (temp_ / "meter.ckpt").string();
    recipe_.output_dir = (temp_ / "out").string();
    recipe_.per_device_train_batch_size = 4;
    recipe_.learning_rate = 2e-3;
    recipe_.lr_scheduler_type = LrSchedule::constant;
    recipe_.save_steps = 0;
    recipe_.tensorboard = recipe_.html = false;
  }

  /// `answer` of the first and of the second picture, to several questions each.
  void ask(const std::string& head, const std::string& first, const std::string& second, int64_t pictures = 1) {
    std::ofstream out(temp_ / "data.jsonl");
    const std::vector<std::string> files{"901.png", "506.png"};
    for (const char* text : {"what is it?", "is it red?", "how is the house", "a"}) {
      for (size_t i = 0; i < 2; ++i) {
        Json images = Json::array({files[i]});
        if (pictures == 2) images.push_back(files[1 - i]);
        const Json turns =
            Json::array({{{"from", "human"}, {"value", text}}, {{"from", "gpt"}, {"value", i == 0 ? first : second}}});
        out << Json{{"images", images}, {"conversations", turns}}.dump() << "\n";
      }
    }
    recipe_.head = head;
    recipe_.data = {{.path = (temp_ / "data.jsonl").string(), .images = LITHE_SOURCE_DIR "/models/images"}};
  }

  std::vector<double> losses() const {
    std::vector<double> losses;
    for (const StepRecord& record : read_step_log(fs::path(recipe_.output_dir) / "log.jsonl"))
      losses.push_back(record.loss);
    return losses;
  }

  /// Names of the tensors that differ from the base model's, or are new.
  std::vector<std::string> changed() const {
    const io::Checkpoint before = io::Checkpoint::open(temp_ / "meter.ckpt"),
                         after = io::Checkpoint::open(recipe_.output_dir);
    std::vector<std::string> names;
    for (const std::string& name : after.names()) {
      const io::TensorView* const old = before.find(name);
      const io::TensorView& now = after.at(name);
      const bool same =
          old && old->shape == now.shape && std::equal(old->bytes.begin(), old->bytes.end(), now.bytes.begin());
      if (!same) names.push_back(name);
    }
    return names;
  }

  const TempFolder temp_;
  Recipe recipe_;
};

}  // namespace lithe::tune::test

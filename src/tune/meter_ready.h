#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/meter/additions.h"
#include "models/meter/meter.h"
#include "plan/plan.h"
#include "tune/meter_sample.h"
#include "tune/recipe.h"
#include "tune/record_stream.h"

namespace lithe::tune {

/// A METER with all that a recipe adds to it, what learns as float32 leaves, and the plan that it trains under.
struct ReadyMeter {
  std::unique_ptr<models::Meter> meter;
  models::MeterTask task;
  AnswerClasses classes;  ///< Of vqa.
  plan::Plan plan;
  std::vector<std::string> notes;  ///< What is worth knowing before the run begins.
};

/// Whether the recipe's model is METER.
bool trains_meter(const Recipe& recipe);

/// Opens the recipe's METER, and adds its head and adapters. `skipped`: the attentions that EAS skips, if a search
/// found them; else those of the recipe. If the checkpoint has no head for vqa, its classes are those that `sets` say,
/// else every answer of `sets`. A head without names for its classes gets those that `sets` say, if they are as many.
/// What learns without `train`:
///   no method   everything
///   eas         adapters, the class token, token types, poolers, and the head, as published
/// Throws Error, also for methods that METER does not take.
ReadyMeter ready_meter(const Recipe& recipe, const std::vector<WeightedSet>& sets,
                       const std::vector<int64_t>& skipped = {}, const std::string& device = "cpu");

/// How many samples of vqa were made, and how many of them have no answer that the head knows.
struct AnswerUse {
  std::atomic<int64_t> samples = 0, unknown = 0;
};

/// Samples for its head, counted in `use` unless that is null. What is ready must outlive the maker.
SampleMaker<MeterSample> sample_maker(const ReadyMeter& ready, std::shared_ptr<AnswerUse> use = nullptr);

}  // namespace lithe::tune

#pragma once

#include <cstdint>
#include <string>

#include "models/meter/meter.h"

// What training adds to a METER that was opened without it. New weights are float32 leaves that ask for gradients, and
// have the names of METER's checkpoints.
namespace lithe::models {

/// The heads that can be added and trained.
enum class MeterTask { vqa, nlvr2, snli, itm, irtr, mlm };
const char* name_of(MeterTask task);
/// Throws Error{bad_request} with the names that there are.
MeterTask meter_task(const std::string& name);

/// Adapters of METER-EAS; the defaults are the published ones.
struct NewMeterAdapters {
  int64_t rep_rank = 96, pia_rank = 144, groups = 2;
  double scale = 1;
  uint64_t seed = 0;
};

/// A RepAdapter before every site of both streams, a PIA that can stand in for every attention, and a learnt row in the
/// place of a text's first, which begins as RoBERTa's embedding of that token. As published: ways up and biases are 0,
/// so a RepAdapter changes nothing yet; ways down are uniform by Xavier's rule. Throws Error{bad_request} if there are
/// adapters already or sizes do not fit.
void add_meter_adapters(Meter& meter, const NewMeterAdapters& wanted);

/// In training, this share of what every adapter's way up reads is left out, also of adapters that the checkpoint came
/// with. `seed` tells the adapters' draws apart.
void set_meter_dropout(Meter& meter, double share, uint64_t seed);

/// The head of a task, if the checkpoint lacks it. `answers`: of vqa, by class. The head of irtr begins as class 1 of
/// itm; nlvr2 gets a type for second pictures, which begins as that of the first. Weights are normal with deviation
/// 0.02, as published. Throws Error{bad_request} for irtr without itm, and for vqa without answers.
void add_meter_head(Meter& meter, MeterTask task, const std::vector<std::string>& answers, uint64_t seed);

}  // namespace lithe::models

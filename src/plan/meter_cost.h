#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "plan/facts.h"
#include "plan/plan.h"

namespace lithe::plan {

/// A transformer encoder as far as its cost goes.
struct EncoderShape {
  int64_t layers = 0, width = 0, mlp = 0;
};

/// METER as far as its cost goes: two encoders, two streams of as many layers, the head of VQAv2.
struct MeterShape {
  std::string name;
  EncoderShape text, tower, stream;
  int64_t vocab = 0, positions = 0;    ///< Of the text.
  int64_t patch = 0, channels = 3;     ///< Of the tower.
  int64_t patches = 0;                 ///< Of a picture.
  int64_t answers = 0;                 ///< 0: there is no such head.
  int64_t rep_rank = 0, pia_rank = 0;  ///< Of the adapters of EAS; 0: there are none.
  int64_t groups = 2;
};

/// CLIP-ViT-B/16 at 384 pixels, RoBERTa-base, six layers a stream, 3,129 answers, adapters of rank 96 and 144.
MeterShape published_meter();

/// What plans over such a shape are checked by.
ModelFacts facts_of(const MeterShape& shape);

/// One line of the table: a part under the plan, and in METER without EAS. Weights of attentions that are off, and of
/// adapters that do not run, are not counted.
struct MeterPartCost {
  std::string part;
  int64_t parameters = 0, dense_parameters = 0;
  double flops = 0, dense_flops = 0;
};

/// Of one text and one picture. docs/counting.md says what is counted. The last line is the sum. Throws
/// Error{bad_request} for rows that are none or too many, and for plans with rules.
std::vector<MeterPartCost> meter_cost(const Plan& plan, const MeterShape& shape, int64_t text_tokens);

/// The table as text, and as JSON.
std::string to_text(const std::vector<MeterPartCost>& parts);
Json to_json(const std::vector<MeterPartCost>& parts);

}  // namespace lithe::plan

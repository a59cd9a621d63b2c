#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/record.h"
#include "image/preprocess.h"
#include "models/meter/additions.h"
#include "models/meter/meter.h"
#include "text/labels.h"
#include "tune/meter_loss.h"

namespace lithe::tune {

/// A record as one of METER's heads learns it.
struct MeterSample {
  std::string name;  ///< For messages: file and record.
  models::TextIds text;
  std::vector<std::shared_ptr<const image::PixelValues>> pictures;
  SoftLabels answers;           ///< Of vqa.
  int64_t label = 0;            ///< Of nlvr2 and snli.
  std::vector<int64_t> hidden;  ///< Of mlm, for each id of the text: what was hidden there, or kIgnored.
  int64_t rows = 0;             ///< Of the streams: its text with each picture.
  uint64_t draw = 0;  ///< What is drawn for it comes from this: another number for each time that a run takes a record.

  /// How much it counts in the loss: one, or of mlm the number of hidden tokens.
  int64_t learnt() const {
    return hidden.empty() ? 1 : std::ssize(hidden) - std::count(hidden.begin(), hidden.end(), text::kIgnored);
  }
};

/// Answers of vqa by their text, to their classes.
using AnswerClasses = std::map<std::string, int64_t, std::less<>>;

/// What an answer of vqa's records says: a JSON object of answers and scores, or one answer with the score 1.
std::map<std::string, double> answers_of(const data::Record& record);

/// The last user turn is the text, the assistant turn after it the answer: of vqa as answers_of() reads it (answers
/// without a class count for nothing); of nlvr2 "true" or "false"; of snli a label; of itm, irtr and mlm, whose
/// texts belong to their pictures, none is needed. Any thread may make samples. Throws Error{bad_file} that names the
/// record.
MeterSample make_meter_sample(const models::Meter& meter, const data::Record& record, models::MeterTask task,
                              const AnswerClasses& classes);

}  // namespace lithe::tune

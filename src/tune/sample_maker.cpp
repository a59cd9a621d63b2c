#include "tune/sample_maker.h"

namespace lithe::tune {

SampleMaker<Sample> sample_maker(const models::Model& model, const SampleOptions& options) {
  return {.make = [&model, options](const data::Record& record) { return make_sample(model, record, options); },
          .finish = [&model, options](Sample& sample) { count_rows(model, sample, options); }};
}

}  // namespace lithe::tune

#pragma once

#include <cstdint>
#include <vector>

#include "models/meter/meter.h"

namespace lithe::tune {

/// Hides tokens of texts for the head mlm, as METER's pre-training does: 15 % of a text's places, of those with
/// padding; marks and padding are never hidden. A hidden token becomes the mask (80 %), any token (10 %), or stays.
class TokenMasker {
 public:
  /// The meter must outlive the masker. Throws Error{bad_request} if it has no tokenizer with a mask.
  explicit TokenMasker(const models::Meter& meter);

  /// Hides tokens of a text.  -> what each one was, or kIgnored if it is not to be predicted. Another `draw` hides
  /// others; with the same one, each text has places of its own.
  std::vector<int64_t> hide(models::TextIds& text, uint64_t draw) const;

 private:
  const models::Meter& meter_;
  int64_t mask_ = 0;
};

}  // namespace lithe::tune

#include "base/error.h"

#include "base/printable.h"

namespace lithe {

Error::Error(Fault fault, const std::string& sentence)
    : std::runtime_error(printable(sentence, kMostSentenceBytes)), fault_(fault) {}

}  // namespace lithe

#include "tune/token_masker.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/mixed.h"
#include "text/labels.h"

namespace lithe::tune {
namespace {

constexpr double kShare = 0.15;

/// Numbers that look random, one after another.
class Draws {
 public:
  explicit Draws(uint64_t seed) : seed_(seed) {}
  /// Below `end`.
  int64_t below(int64_t end) { return static_cast<int64_t>(mixed(seed_, next_++) % static_cast<uint64_t>(end)); }

 private:
  const uint64_t seed_;
  uint64_t next_ = 0;
};

/// `count` of the places below `all`, each as likely as any other.
std::vector<size_t> some_places(int64_t all, int64_t count, Draws& draws) {
  std::vector<size_t> places(static_cast<size_t>(all));
  std::iota(places.begin(), places.end(), 0);
  for (int64_t i = 0; i < count; ++i)
    std::swap(places[static_cast<size_t>(i)], places[static_cast<size_t>(i + draws.below(all - i))]);
  places.resize(static_cast<size_t>(count));
  return places;
}

}  // namespace

TokenMasker::TokenMasker(const models::Meter& meter) : meter_(meter) {
  const std::optional<int64_t> mask = meter.tokenizer ? meter.tokenizer->id_of("<mask>") : std::nullopt;
  require(mask.has_value(), Fault::bad_request, meter.name,
          ": has no tokenizer with the token <mask>, which the head mlm needs");
  mask_ = *mask;
}

std::vector<int64_t> TokenMasker::hide(models::TextIds& text, uint64_t draw) const {
  for (const int64_t id : text.ids) draw = mixed(draw, static_cast<uint64_t>(id));
  Draws draws(draw);
  const int64_t all = std::max(meter_.config.max_text, std::ssize(text.ids));
  const int64_t count = std::max<int64_t>(1, std::lround(kShare * static_cast<double>(all)));
  std::vector<int64_t> labels(text.ids.size(), text::kIgnored);
  for (const size_t place : some_places(all, count, draws)) {
    if (place >= text.ids.size() || meter_.tokenizer->is_special(text.ids[place])) continue;
    labels[place] = text.ids[place];
    const int64_t fate = draws.below(10);
    if (fate < 8) text.ids[place] = mask_;
    if (fate == 8) text.ids[place] = draws.below(meter_.tokenizer->size());
  }
  return labels;
}

}  // namespace lithe::tune

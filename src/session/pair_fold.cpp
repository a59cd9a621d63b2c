#include "session/pair_fold.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoints/write/meter_folding.h"
#include "io/new_folder.h"

namespace lithe::session {
namespace {

std::vector<float> asked(const PairSession& session, const HeadInfo& head, const PairQuestion& question) {
  return session.scores(head, {&question, 1}).front();
}

}  // namespace

PairFoldReport fold_pairs(const PairSession& session, PairQuestion question, const std::filesystem::path& out) {
  const models::Meter& meter = session.meter();
  const HeadInfo& head = session.head("");
  require(!question.images.empty(), Fault::bad_request, "METER reads a picture; give one with --image");
  question.images.resize(static_cast<size_t>(std::max<int64_t>(head.pictures, 1)), question.images.back());
  const auto unrounded = [&](const models::WeightSlot& slot) {
    models::require_unrounded(models::held_at(slot.place), meter.name);
  };
  visit(const_cast<models::Meter&>(meter), unrounded);  // which only reads
  io::NewFolder folder(meter.checkpoint, out);
  const models::FoldCount count = models::write_folded_meter(meter, folder.part());
  PairFoldReport report{.adapters = count.adapters,
                        .adapters_left = count.left,
                        .rounding = count.rounding,
                        .head = head.name,
                        .bytes_before = session.weight_bytes()};
  const PairSession folded = PairSession::open(folder.part());
  report.bytes_after = folded.weight_bytes();
  const std::vector<float> before = asked(session, head, question), after = asked(folded, head, question);
  for (size_t i = 0; i < before.size(); ++i)
    report.largest_deviation = std::max(report.largest_deviation, std::abs(double{after[i]} - double{before[i]}));
  folder.commit();
  return report;
}

}  // namespace lithe::session

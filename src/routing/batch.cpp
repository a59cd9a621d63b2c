#include "routing/batch.h"

#include "base/error.h"

namespace lithe::routing {

std::vector<nn::LoraRows> lora_rows(std::span<const Sequence> sequences, std::span<const int64_t> offsets) {
  std::vector<nn::LoraRows> all;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const nn::LoraRows rows{sequences[i].lora, offsets[i], offsets[i + 1]};
    if (!rows.lora || rows.begin == rows.end) continue;
    if (!all.empty() && all.back().lora == rows.lora && all.back().end == rows.begin) {
      all.back().end = rows.end;
    } else {
      all.push_back(rows);
    }
  }
  return all;
}

void Batch::add(const Sequence& sequence, std::span<const RowKind> row_kinds, int64_t first, const Places& own) {
  const size_t count = row_kinds.size();
  if (offsets.empty()) offsets.push_back(0);
  if (places.empty()) places.assign(own.size(), order);
  sequences.push_back(sequence);
  kinds.insert(kinds.end(), row_kinds.begin(), row_kinds.end());
  for (size_t row = 0; row < count; ++row) order.push_back(first + static_cast<int64_t>(row));
  offsets.push_back(rows());
  require(own.empty() || own.size() == places.size(), Fault::internal, "Batch::add: places of ", own.size(),
          " axes after places of ", places.size());
  for (size_t axis = 0; axis < places.size(); ++axis) {
    require(own.empty() || own[axis].size() == count, Fault::internal, "Batch::add: ", count, " rows with ",
            own.empty() ? 0 : own[axis].size(), " places");
    const auto begin = own.empty() ? order.end() - static_cast<int64_t>(count) : own[axis].begin();
    places[axis].insert(places[axis].end(), begin, begin + static_cast<int64_t>(count));
  }
}

Places Batch::places_of(int64_t begin, int64_t end) const {
  Places some = ops::some_places(places, begin, end);
  if (some.empty()) some.emplace_back(order.begin() + begin, order.begin() + end);
  return some;
}

void Batch::keep(const Rows& rows) {
  if (!rows.index) return;
  order = rows.of(order);
  kinds = rows.of(kinds);
  for (std::vector<int64_t>& axis : places) axis = rows.of(axis);
  for (std::vector<int64_t>& cut : cuts) cut = rows.of(cut);
  if (!draws.empty()) draws = rows.of(draws);
  offsets = rows.offsets;
  if (angles) angles = angles->rows(*rows.index);
}

}  // namespace lithe::routing

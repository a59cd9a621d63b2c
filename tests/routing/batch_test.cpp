#include "routing/batch.h"

#include <ATen/ops/tensor.h>

#include "base/error.h"
#include "ops/tensor_support.h"

namespace lithe::routing {
namespace {

using List = std::vector<int64_t>;
const std::vector<RowKind> kThree(3, RowKind::text), kTwo(2, RowKind::vision);

TEST(Batches, PlacesAreTheOrderUnlessSomeoneGivesThem) {
  Batch batch;
  batch.add({}, kThree, 4);
  EXPECT_TRUE(batch.places.empty());
  EXPECT_EQ(batch.places_of(0, 3), (Places{{4, 5, 6}}));
  batch.add({}, kTwo, 0, {{9, 9}, {1, 2}});
  batch.add({}, kTwo, 8);
  EXPECT_EQ(batch.offsets, (List{0, 3, 5, 7}));
  EXPECT_EQ(batch.order, (List{4, 5, 6, 0, 1, 8, 9}));
  EXPECT_EQ(batch.places, (Places{{4, 5, 6, 9, 9, 8, 9}, {4, 5, 6, 1, 2, 8, 9}}));
  EXPECT_EQ(batch.places_of(2, 4), (Places{{6, 9}, {6, 1}}));
  EXPECT_THROW(batch.add({}, kTwo, 0, {{1, 2}}), Error) << "one axis after two";
  EXPECT_THROW(batch.add({}, kTwo, 0, {{1, 2}, {3}}), Error) << "a place is missing";
}

TEST(Batches, RowsThatGoOnKeepWhatBelongsToThem) {
  Batch batch;
  batch.add({}, kThree, 0, {{5, 6, 7}});
  batch.add({}, kTwo, 0, {{1, 2}});
  batch.cuts = {{0, 0, 1, 2, 3}};
  const Rows rows{
      .index = at::tensor(at::ArrayRef<int64_t>({0, 2, 4}), at::kLong), .list = {0, 2, 4}, .offsets = {0, 2, 3}};
  batch.keep(rows);
  EXPECT_EQ(batch.order, (List{0, 2, 1}));
  EXPECT_EQ(batch.places, (Places{{5, 7, 2}}));
  EXPECT_EQ(batch.cuts[0], (List{0, 1, 3}));
  EXPECT_EQ(batch.offsets, (List{0, 2, 3}));
  EXPECT_EQ(batch.kinds, (std::vector{RowKind::text, RowKind::text, RowKind::vision}));
}

}  // namespace
}  // namespace lithe::routing

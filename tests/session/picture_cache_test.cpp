#include "session/picture_cache.h"

#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "plan/parse.h"

namespace lithe::session {
namespace {

constexpr int64_t kRows = 8, kWidth = 16;
constexpr int64_t kBytes = kRows * kWidth * int64_t{sizeof(float)} + kRows;

PictureCache::Rows rows() {
  models::PackedRows packed{.rows = at::ones({kRows, kWidth})};
  packed.kinds.assign(kRows, plan::RowKind::vision);
  return rows_to_hold(std::move(packed));
}

PictureKey key(uint8_t number, const std::string& salt = {}, const plan::Plan& plan = {}) {
  return PictureKey({number}, salt, plan);
}

TEST(PictureCache, ForgetsTheLeastRecentlyUsed) {
  PictureCache cache(3 * kBytes);
  for (uint8_t i = 0; i < 3; ++i) cache.insert(key(i), rows());
  EXPECT_EQ(cache.bytes(), 3 * kBytes);
  EXPECT_TRUE(cache.find(key(0)));
  cache.insert(key(3), rows());
  EXPECT_EQ(cache.bytes(), 3 * kBytes);
  EXPECT_FALSE(cache.find(key(1)));
  for (const uint8_t i : {uint8_t{0}, uint8_t{2}, uint8_t{3}}) EXPECT_TRUE(cache.find(key(i))) << int{i};
  cache.insert(key(3), rows());
  EXPECT_EQ(cache.bytes(), 3 * kBytes) << "the same again";
  cache.allow(kBytes);
  EXPECT_EQ(cache.bytes(), kBytes);
  EXPECT_TRUE(cache.find(key(3)));
  cache.allow(100 * kBytes);
  EXPECT_EQ(cache.allowed_bytes(), 3 * kBytes);
  PictureCache small(kBytes - 1), off(0);
  small.insert(key(0), rows());
  off.insert(key(0), rows());
  EXPECT_EQ(small.bytes() + off.bytes(), 0);
  EXPECT_FALSE(off.on());
}

// Rules of the decoder change a picture's rows only if they read what the tower saw.
TEST(PictureCache, AKeyIsAllThatChangesTheRows) {
  const plan::ModelFacts facts = plan::shape_named("llava-1.5-7b");
  const auto plan = [&](const char* name) { return plan::load_plan(name, facts); };
  EXPECT_EQ(key(1), key(1));
  EXPECT_NE(key(1), key(2));
  EXPECT_NE(key(1), key(1, "salt"));
  EXPECT_EQ(key(1), key(1, "", plan("p-mod")));
  EXPECT_EQ(key(1), key(1, "", plan("fastv")));
  EXPECT_NE(key(1), key(1, "", plan("visionzip")));
  EXPECT_NE(key(1, "", plan("prumerge-plus")), key(1, "", plan("visionzip")));
  EXPECT_EQ(key(1, "", plan("visionzip")), key(1, "", plan("visionzip")));
  plan::Plan in_tower;
  in_tower.layers.push_back({.stream = "vision_tower", .layer = 3, .self_attention = false});
  EXPECT_NE(key(1), key(1, "", in_tower));
}

TEST(PictureCache, HoldsNoMemoryOfOtherPictures) {
  const at::Tensor all = at::ones({10 * kRows, kWidth});
  const PictureCache::Rows held = rows_to_hold({.rows = all.narrow(0, 0, kRows)});
  EXPECT_EQ(held->rows.storage().nbytes(), held->rows.nbytes());
  EXPECT_EQ(held->rows.size(0), kRows);
}

}  // namespace
}  // namespace lithe::session

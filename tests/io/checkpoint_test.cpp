#include "io/checkpoint.h"

#include <gtest/gtest.h>

#include "io/io_test_support.h"

namespace lithe::io {
namespace {

const std::string kGolden = LITHE_TEST_DATA "/golden/";

void expect_same(const Checkpoint& a, const Checkpoint& b) {
  ASSERT_GT(a.names().size(), 0u);
  EXPECT_EQ(a.names(), b.names());
  EXPECT_EQ(a.bytes(), b.bytes());
  for (const std::string& name : a.names()) expect_equal(a.at(name), b.at(name), name);
}

TEST(Checkpoint, ShardedSafetensorsEqualTheWhole) {
  expect_same(Checkpoint::open(kGolden + "hf_llava15/checkpoint"),
              Checkpoint::open(kGolden + "hf_llava15/checkpoint_sharded"));
}

TEST(Checkpoint, ShardedTorchFilesEqualSafetensors) {
  expect_same(Checkpoint::open(kGolden + "liuhaotian_llava15/checkpoint"),
              Checkpoint::open(kGolden + "liuhaotian_llava15/checkpoint_bin_sharded"));
}

}  // namespace
}  // namespace lithe::io

#include <gtest/gtest.h>

#include "base/error.h"
#include "models/model.h"
#include "sentence_of.h"
#include "session/storage.h"

namespace lithe::session {
namespace {

TEST(Arithmetic, RefusesCodesOnAGpu) {
  const auto refusal = [](const auto& call) { return test::sentence_of(call); };
  EXPECT_NE(refusal([] { arithmetic_of("int8", "float32", "cuda"); }).find("on the CPU only"), std::string::npos);
  EXPECT_EQ(arithmetic_of("int8", "float32", "cpu").cache, ops::KeyValueKind::int8);
  EXPECT_TRUE(arithmetic_of("bfloat16", "float32", "cuda:1").on_gpu);
  const auto random = [](models::WeightStorage storage) {
    models::random_model("llava-1.5-7b", 1, 1, storage, 0, "cuda");
  };
  EXPECT_NE(refusal([&] { random(models::WeightStorage::int4); }).find("--device cuda"), std::string::npos);
}

}  // namespace
}  // namespace lithe::session

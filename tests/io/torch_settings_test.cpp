#include "io/torch_settings.h"

#include <gtest/gtest.h>

namespace lithe::io {
namespace {

// The file holds {"config": {"eas": {"skip": [3, 2**63, None]}, "answers": [0, .., 4999]}}.
TEST(TorchSettings, KeepThePlaceOfWhatIsNotANumberAndLongLists) {
  const Json settings = read_hyper_parameters(LITHE_TEST_DATA "/io/torch/hyper_parameters.ckpt");
  const Json& config = settings.at("config");
  EXPECT_EQ(config.at("eas").at("skip").size(), 3U);
  EXPECT_EQ(config.at("eas").at("skip")[0], 3);
  EXPECT_FALSE(config.at("eas").at("skip")[1].is_number());
  EXPECT_TRUE(config.at("eas").at("skip")[2].is_null());
  EXPECT_EQ(config.at("answers").size(), 5000U);
}

}  // namespace
}  // namespace lithe::io

#include "io/torch_output.h"

#include <gtest/gtest.h>

#include "io/io_test_support.h"
#include "io/mapped_file.h"
#include "io/safetensors.h"
#include "io/torch_file.h"
#include "temporary_folder.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;

TEST(TorchOutput, GivesBackWhatWasWritten) {
  const test::TemporaryFolder temp;
  const SafetensorsFile golden =
      open_safetensors(LITHE_TEST_DATA "/golden/lavin/checkpoint/adapter/checkpoint-19.safetensors");
  const fs::path file = temp / "checkpoint-19.pth";
  write_torch(file, {golden.tensors.begin(), golden.tensors.end()});
  const std::map<std::string, TensorView> got = open_torch(file);
  ASSERT_EQ(got.size(), golden.tensors.size());
  const Bytes bytes = map_file(file);
  for (const auto& [name, tensor] : golden.tensors) {
    expect_equal(got.at(name), tensor, name);
    // PyTorch maps files whose storages begin at multiples of 64 bytes.
    EXPECT_EQ((got.at(name).bytes.data() - bytes.span.data()) % 64, 0) << name;
  }
}

TEST(TorchOutput, KeepsTypesScalarsAndEmptyTensors) {
  const test::TemporaryFolder temp;
  const double scalar[] = {0.5};
  const uint16_t half[] = {0x3c00, 0xc000};
  const std::vector<std::pair<std::string, TensorView>> tensors{
      {"scalar", tensor_of<double>({}, scalar)},
      {"half", {Dtype::float16, {2, 1}, std::as_bytes(std::span(half)), nullptr, {}}},
      {"empty", tensor_of<float>({0, 3}, {})}};
  write_torch(temp / "some.pth", tensors);
  const std::map<std::string, TensorView> got = open_torch(temp / "some.pth");
  for (const auto& [name, tensor] : tensors) expect_equal(got.at(name), tensor, name);
}

}  // namespace
}  // namespace lithe::io

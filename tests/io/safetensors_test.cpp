#include "io/safetensors.h"

#include <gtest/gtest.h>

#include "io/io_test_support.h"

namespace lithe::io {
namespace {

TEST(Safetensors, RoundTripKeepsEveryDtypeShapeAndByte) {
  const TemporaryFolder folder;
  std::vector<std::pair<std::string, TensorView>> tensors;
  for (const char* name : {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"}) {
    const Dtype dtype = *dtype_named(name);
    tensors.emplace_back(name, TensorView{dtype, {3, 1}, kPattern.subspan(0, 3 * size_of(dtype)), nullptr, ""});
  }
  tensors.emplace_back("scalar", TensorView{Dtype::float32, {}, kPattern.subspan(0, 4), nullptr, ""});
  tensors.emplace_back("empty", TensorView{Dtype::int64, {2, 0}, {}, nullptr, ""});
  write_safetensors(folder / "a.safetensors", tensors, {{"format", "pt"}});

  const SafetensorsFile file = open_safetensors(folder / "a.safetensors");
  EXPECT_EQ(file.metadata, (Metadata{{"format", "pt"}}));
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) expect_equal(file.tensors.at(name), tensor, name);
  for (const auto& [name, tensor] : file.tensors) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.bytes.data()) % size_of(tensor.dtype), 0u) << name;
  }
}

}  // namespace
}  // namespace lithe::io

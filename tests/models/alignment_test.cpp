// The same weights give the same bits, wherever they lie in their file.
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>

#include <cstring>
#include <tuple>

#include "checkpoints/read/catalogue.h"
#include "support.h"

namespace lithe::models {
namespace {

/// Rewrites a safetensors file with so many spaces after its header that the tensors begin `bytes` after a multiple of
/// 64.
void shift_tensors(const fs::path& path, uint64_t bytes) {
  const std::string old = contents(path);
  uint64_t length = 0;
  std::memcpy(&length, old.data(), sizeof length);
  std::string header = old.substr(sizeof length, length);
  const std::string tensors = old.substr(sizeof length + length);
  header.resize(header.find_last_not_of(' ') + 1);
  while ((sizeof length + header.size()) % 64 != bytes) header += ' ';
  length = header.size();
  fs::remove(path);
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&length), sizeof length);
  file << header << tensors;
}

/// Rewrites a safetensors file with all tensors in another type.
void store_as(const fs::path& path, at::ScalarType type, io::Dtype dtype) {
  edit_tensors(path, [&](auto& tensors) {
    for (auto& [name, view] : tensors) {
      const auto stored = std::make_shared<const Tensor>(tensor_over(view).to(type).clone());
      const std::span bytes(static_cast<const std::byte*>(stored->const_data_ptr()), stored->nbytes());
      view = {.dtype = dtype, .shape = view.shape, .bytes = bytes, .owner = stored, .file = view.file};
    }
  });
}

/// Everything that the model makes of a picture and some tokens.
Tensor outputs_of(const fs::path& folder, const image::Image& picture) {
  const auto model = open_model(folder);
  const ImageRows encoded = model->encode_image(picture);
  const Tensor text = model->decoder.embed(at::arange(3, 19));
  std::vector<routing::RowKind> kinds(encoded.kinds.begin(), encoded.kinds.end());
  kinds.insert(kinds.end(), 16, routing::RowKind::text);
  return at::cat({encoded.rows.flatten(), prefill(*model, at::cat({encoded.rows, text}), kinds).logits.flatten()});
}

class Alignment : public ::testing::TestWithParam<std::tuple<const char*, std::pair<at::ScalarType, io::Dtype>>> {};

TEST_P(Alignment, OfTheTensorsInTheirFileChangesNoBit) {
  const auto& [golden, type] = GetParam();
  const TempFolder temp;
  const fs::path folder = temp.path / "shifted";
  fs::copy(golden_folder(golden) / "checkpoint", folder);
  store_as(folder / "model.safetensors", type.first, type.second);
  const image::Image picture = Golden("hf_llavanext").picture("img0.rgb");
  shift_tensors(folder / "model.safetensors", 0);
  const Tensor expected = outputs_of(folder, picture);
  for (int64_t bytes = io::size_of(type.second); bytes < 64; bytes += io::size_of(type.second)) {
    shift_tensors(folder / "model.safetensors", static_cast<uint64_t>(bytes));
    EXPECT_TRUE(outputs_of(folder, picture).equal(expected)) << bytes << " bytes off";
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Alignment,
                         ::testing::Combine(::testing::Values("hf_llava15", "hf_llavanext"),
                                            ::testing::Values(std::pair{at::kFloat, io::Dtype::float32},
                                                              std::pair{at::kBFloat16, io::Dtype::bfloat16},
                                                              std::pair{at::kHalf, io::Dtype::float16})));

}  // namespace
}  // namespace lithe::models

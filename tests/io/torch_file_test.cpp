#include "io/torch_file.h"

#include <gtest/gtest.h>

#include <set>

#include "io/io_test_support.h"
#include "io/safetensors.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;
const std::string kFolder = LITHE_TEST_DATA "/io/torch/";

class PlainFile : public testing::TestWithParam<const char*> {};

TEST_P(PlainFile, HoldsTheTensorsOfItsSafetensorsTwin) {
  const std::map<std::string, TensorView> got = open_torch(kFolder + GetParam());
  const SafetensorsFile expected = open_safetensors(kFolder + "plain.safetensors");
  ASSERT_EQ(got.size(), expected.tensors.size());
  for (const auto& [name, tensor] : expected.tensors) {
    ASSERT_TRUE(got.contains(name)) << name;
    expect_equal(got.at(name), tensor, name);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(got.at(name).bytes.data()) % size_of(tensor.dtype), 0u) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Torch, PlainFile,
                         testing::Values("plain.pth", "plain_deflated.pth", "plain_zip64.pth", "plain_protocol4.pth",
                                         "plain_legacy.pth", "lightning.ckpt"));

TEST(Torch, TransposedAndExpandedTensorsBecomeRowMajor) {
  const std::map<std::string, TensorView> tensors = open_torch(kFolder + "plain.pth");
  const auto values = [&](const char* name) {
    const std::span<const float> span = tensors.at(name).values<float>();
    return std::vector<float>(span.begin(), span.end());
  };
  EXPECT_EQ(values("matrix"), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values("transposed"), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(values("expanded"), (std::vector<float>{1, 2, 2, 3, 3, 4, 1, 2, 2, 3, 3, 4}));
}

// An archive of TorchScript, as OpenAI publishes CLIP: modules within modules.
TEST(Torch, ModulesOfAScriptGiveDottedNames) {
  const std::map<std::string, TensorView> got = open_torch(kFolder + "script.pt");
  const SafetensorsFile expected = open_safetensors(kFolder + "plain.safetensors");
  ASSERT_EQ(got.size(), expected.tensors.size() + 2);
  for (const auto& [name, tensor] : expected.tensors) {
    ASSERT_TRUE(got.contains("visual.resblocks.0." + name)) << name;
    expect_equal(got.at("visual.resblocks.0." + name), tensor, name);
  }
  expect_equal(got.at("visual.class_embedding"), expected.tensors.at("tail"), "tail");
  expect_equal(got.at("logit_scale"), expected.tensors.at("scalar"), "scalar");
}

TEST(Torch, TensorsOfOneStorageShareItsBytes) {
  const std::map<std::string, TensorView> tensors = open_torch(kFolder + "plain.pth");
  EXPECT_EQ(tensors.at("tail").bytes.data(), tensors.at("matrix").bytes.data() + 2 * sizeof(float));
}

TEST(Torch, LegacyStorageViewsBeginAtTheirOffset) {
  const TensorView part =
      open_torch(kFolder + "legacy_view.pth").at("part");  // storage 9 0 1 2, view from 1, tensor from 1
  EXPECT_EQ(part.values<float>()[0], 1);
  EXPECT_EQ(part.values<float>()[1], 2);
}

TEST(Torch, GoldenFilesEqualTheirSafetensorsTwins) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(LITHE_TEST_DATA "/golden")) {
    const fs::path twin = fs::path(entry.path()).replace_extension(".safetensors");
    const std::set<std::string> kinds{".pth", ".pt", ".bin", ".ckpt"};
    if (!kinds.contains(entry.path().extension().string()) || !fs::exists(twin)) continue;
    const std::map<std::string, TensorView> got = open_torch(entry.path());
    const SafetensorsFile expected = open_safetensors(twin);
    EXPECT_EQ(got.size(), expected.tensors.size()) << entry.path();
    for (const auto& [name, tensor] : expected.tensors) {
      ASSERT_TRUE(got.contains(name)) << name;
      expect_equal(got.at(name), tensor, name);
    }
  }
}

/// Hostile file: a part of the sentence that refuses it.
const std::map<std::string, std::string> kRefusals{
    {"os_system.pth", "the pickle would run \"posix.system\"; only tensors and plain containers are read"},
    {"os_system_legacy.pth", "the pickle would run \"posix.system\""},
    {"eval.pth", "the pickle would run \"__builtin__.eval\""},
    {"named_only.pth", "the pickle would run \"posix.system\""},
    {"dtype_called.pth", "the pickle would run \"torch.float32\""},
    {"complex.pth", "the pickle would run \"torch.ComplexFloatStorage\""},
    {"script_cycle.pth", "its modules hold each other, or there are too many of them"},
    {"script_without_tensors.pth", "is an archive of TorchScript without a tensor"},
    {"no_tensors.pth", "holds no dict of named tensors"},
    {"not_a_dict.pth", "holds no dict of named tensors"},
    {"opcode.pth", "the pickle has the opcode 130 at byte 2"},
    {"protocol0.pth", "is not a pickle of protocol 2 or newer"},
    {"cut_pickle.pth", "the pickle is cut off"},
    {"no_stop.pth", "the pickle is cut off"},
    {"empty_stack.pth", "the pickle takes a value that is not there"},
    {"across_mark.pth", "the pickle takes a value that is not there"},
    {"no_mark.pth", "the pickle takes a mark that is not there"},
    {"no_memo.pth", "the pickle recalls a value that it never kept"},
    {"odd_items.pth", "the pickle has a key without a value"},
    {"append_to_dict.pth", "the pickle appends to what is not a list"},
    {"call_a_number.pth", "the pickle calls what is not a name"},
    {"deep_marks.pth", "the pickle nests too deeply"},
    {"deep_lists.pth", "holds no dict of named tensors"},
    {"cycle.pth", "holds no dict of named tensors"},
    {"parameter_cycle.pth", "holds no dict of named tensors"},
    {"memo_bomb.pth", "the pickle holds more than 16000000 items"},
    {"twice.pth", "tensor \"a\" stands twice"},
    {"huge_storage.pth",
     "tensor \"w\" claims a storage of 2305843009213693952 elements of F32, the file holds 12 bytes"},
    {"huge_shape.pth", "tensor \"w\" has an impossible shape [1099511627776, 1099511627776]"},
    {"negative_size.pth", "tensor \"w\" has an impossible shape [-3]"},
    {"negative_stride.pth", "with strides [-1] at 2"},
    {"negative_offset.pth", "with strides [1] at -1"},
    {"outside.pth", "at 1 leaves its storage, which has 3 elements"},
    {"far_stride.pth", "leaves its storage"},
    {"ranks.pth", "shape [3] with strides [1, 1]"},
    {"many_dimensions.pth", "has an impossible shape [1, 1, 1"},
    {"repeat_bomb.pth", "repeats its elements beyond what the file's size allows"},
    {"text_size.pth", "has something else where a number belongs"},
    {"big_size.pth", "has something else where a number belongs"},
    {"truncated.pth", "the zip directory at its end is missing; is the file cut off?"},
    {"no_storage.pth", "tensor \"w\" needs the storage \"0\", which is missing"},
    {"no_pickle.pth", "is a zip file without data.pkl"},
    {"two_pickles.pth", "holds more than one data.pkl"},
    {"big_endian.pth", "was written on a big-endian machine"},
    {"traversal.pth", "\"archive/../etc.\" has a name that leads out of its folder"},
    {"absolute.pth", "\"/rchive/version\" has a name that leads out of its folder"},
    {"duplicate.pth", "zip entry \"archive/data.pkl\" stands twice"},
    {"encrypted.pth", "zip entry \"archive/data/0\" is encrypted"},
    {"method.pth", "is packed by method 12"},
    {"stored_sizes.pth", "is stored, yet claims 12 bytes for 99"},
    {"outside_zip.pth", "of 12 bytes at 1073741824 lies outside the file"},
    {"overlap.pth", "overlaps another"},
    {"local_header.pth", "has no local header where it should begin"},
    {"local_name.pth", "zip entry \"archive/data/0\" lies outside the file"},
    {"directory_outside.pth", "the zip directory claims 246 bytes at 1073741824, which lie outside the file"},
    {"directory_count.pth", "the zip directory claims 3 entries and has 4"},
    {"directory_damaged.pth", "entry 2 of the zip directory is damaged"},
    {"directory_cut.pth", "entry 2 of the zip directory is cut off"},
    {"zip64_missing.pth", "lacks a valid zip64 size"},
    {"zip64_locator.pth", "the zip64 end record is not where its locator says"},
    {"zip64_end.pth", "which lie outside the file"},
    {"bomb.pth", "it is refused as a decompression bomb"},
    {"inflates_to_more.pth", "does not unpack to the 10 bytes"},
    {"inflates_to_less.pth", "does not unpack to the 10000 bytes"},
    {"checksum.pth", "is damaged: its checksum does not fit"},
    {"deflate_damaged.pth", "does not unpack to the"},
    {"legacy_truncated.pth", "more than the file holds; is it cut off?"},
    {"legacy_no_storage.pth", "goes on after the end of the file"},
    {"legacy_huge.pth", "claims 2305843009213693952 elements of F32"},
    {"legacy_negative.pth", "claims -1 elements"},
    {"legacy_magic_only.pth", "the pickle is cut off"},
    {"legacy_version.pth", "has an unknown version of the format before PyTorch 1.6"},
    {"legacy_big_endian.pth", "was written on a big-endian machine"},
    {"legacy_unknown_key.pth", "has \"94000\", which no tensor uses"},
    {"legacy_view_outside.pth", "claims a part of its storage that lies outside"},
    {"not_torch.pth", "is not a file that torch.save wrote"},
    {"empty.pth", "is not a file that torch.save wrote"},
};

TEST(Torch, EveryHostileFileIsRefusedWithItsSentence) {
  for (const auto& [name, sentence] : kRefusals) {
    SCOPED_TRACE(name);
    const std::string path = kFolder + "hostile/" + name;
    const std::string got = refusal([&] { open_torch(path); });
    EXPECT_NE(got.find(sentence), std::string::npos) << got;
    EXPECT_TRUE(got.starts_with(path + ": ")) << got;
  }
}

TEST(Torch, EveryHostileFileHasARow) {
  for (const fs::directory_entry& entry : fs::directory_iterator(kFolder + "hostile")) {
    EXPECT_TRUE(kRefusals.contains(entry.path().filename().string())) << entry.path();
  }
}

TEST(Torch, AFileCutAnywhereIsRefused) {
  for (const char* name : {"plain.pth", "plain_legacy.pth"}) {
    const std::string whole = read_file(kFolder + name);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      // On the heap and of just this size, so that a sanitizer sees every byte read beyond it.
      const auto cut =
          std::make_shared<std::vector<char>>(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_THROW(parse_torch({std::as_bytes(std::span(*cut)), cut, name}), Error) << name << " cut to " << size;
    }
  }
}

}  // namespace
}  // namespace lithe::io

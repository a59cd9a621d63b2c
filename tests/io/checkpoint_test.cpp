#include "io/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>

#include "base/json.h"
#include "io/io_test_support.h"
#include "io/safetensors.h"

namespace lithe::io {
namespace {

const std::string kGolden = LITHE_TEST_DATA "/golden/";
const std::string kTorch = LITHE_TEST_DATA "/io/torch/";

void expect_same(const Checkpoint& a, const Checkpoint& b) {
  ASSERT_GT(a.names().size(), 0u);
  EXPECT_EQ(a.names(), b.names());
  EXPECT_EQ(a.bytes(), b.bytes());
  for (const std::string& name : a.names()) expect_equal(a.at(name), b.at(name), name);
}

/// A safetensors file with one int8 [2] tensor, `value` in both places.
void write_one(const std::filesystem::path& path, const std::string& name, int8_t value) {
  const std::array<int8_t, 2> values{value, value};
  write_safetensors(path, {{name, tensor_of<int8_t>({2}, values)}});
}

int value_of(const Checkpoint& checkpoint, const std::string& name) {
  return checkpoint.at(name).values<int8_t>()[0];
}

TEST(Checkpoint, ShardedSafetensorsEqualTheWhole) {
  expect_same(Checkpoint::open(kGolden + "hf_llava15/checkpoint"),
              Checkpoint::open(kGolden + "hf_llava15/checkpoint_sharded"));
}

TEST(Checkpoint, ShardedTorchFilesEqualSafetensors) {
  expect_same(Checkpoint::open(kGolden + "liuhaotian_llava15/checkpoint"),
              Checkpoint::open(kGolden + "liuhaotian_llava15/checkpoint_bin_sharded"));
}

TEST(Checkpoint, AShardNameLongerThanTheSystemAllowsIsMissing) {
  const TemporaryFolder folder;
  const std::string shard(5000, 'x');
  write_file(folder / "model.safetensors.index.json", R"({"weight_map": {"w": ")" + shard + R"("}})");
  expect_refused([&] { Checkpoint::open(folder.path()); }, "xxx\" is missing");
  expect_refused([&] { Checkpoint::open(shard); }, ": no such file or folder");
}

TEST(Checkpoint, OpensSingleFilesOfEveryKind) {
  for (const char* name : {"plain.pth", "plain_legacy.pth", "lightning.ckpt", "plain.safetensors"}) {
    EXPECT_EQ(Checkpoint::open(kTorch + name).names().size(), 17u) << name;
  }
}

TEST(Checkpoint, AFolderIsReadInTheOrderOfTheLayouts) {
  const TemporaryFolder folder;
  std::filesystem::copy_file(kTorch + "plain.pth", folder / "consolidated.00.pth");
  EXPECT_EQ(Checkpoint::open(folder.path()).names().size(), 17u);
  write_one(folder / "b.safetensors", "b", 1);
  write_one(folder / "a.safetensors", "a", 2);
  EXPECT_EQ(Checkpoint::open(folder.path()).names(), (std::vector<std::string>{"a", "b"}));
  const Json torch_index = {{"weight_map", {{Checkpoint::open(kTorch + "plain.pth").names()[0], "shard.bin"}}}};
  write_file(folder / "pytorch_model.bin.index.json", torch_index.dump());
  expect_refused([&] { Checkpoint::open(folder.path()); }, "the shard \"shard.bin\" is missing");
  std::filesystem::copy_file(kTorch + "plain.pth", folder / "shard.bin");
  EXPECT_EQ(Checkpoint::open(folder.path()).names().size(), 17u);
  std::filesystem::rename(folder / "shard.bin", folder / "pytorch_model.bin");
  EXPECT_EQ(Checkpoint::open(folder.path()).names().size(), 17u);
  write_file(folder / "model.safetensors.index.json", R"({"weight_map": {"b": "b.safetensors"}})");
  EXPECT_EQ(Checkpoint::open(folder.path()).names(), std::vector<std::string>{"b"});
  write_one(folder / "model.safetensors", "w", 3);
  EXPECT_EQ(value_of(Checkpoint::open(folder.path()), "w"), 3);
}

TEST(Checkpoint, FindAndContains) {
  const TemporaryFolder folder;
  write_one(folder / "model.safetensors", "w", 7);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_TRUE(checkpoint.contains("w"));
  EXPECT_EQ(checkpoint.find("w"), &checkpoint.at("w"));
  EXPECT_EQ(checkpoint.find("x"), nullptr);
  EXPECT_EQ(checkpoint.bytes(), 2);
  expect_refused([&] { checkpoint.at("w").values<float>(); }, "a tensor is I8, expected F32");
}

TEST(Checkpoint, AMissingTensorIsNamedWithItsNeighbours) {
  const Checkpoint checkpoint = Checkpoint::open(kGolden + "liuhaotian_llava15/checkpoint");
  expect_refused([&] { checkpoint.at("model.layers.0.self_attn.q_proj.weigth"); },
                 "checkpoint: the tensor \"model.layers.0.self_attn.q_proj.weigth\" is missing; near names: "
                 "\"model.layers.0.self_attn.q_proj.weight\"");
  expect_refused([&] { checkpoint.at("language_model.lm_head.weight"); }, "near names: \"lm_head.weight\"");
  EXPECT_TRUE(refusal([&] { checkpoint.at("x"); }).ends_with("the tensor \"x\" is missing"));
}

TEST(Checkpoint, FoldersWithoutUsableWeightsAreRefused) {
  const TemporaryFolder folder;
  const auto open = [&] { Checkpoint::open(folder.path()); };
  expect_refused([&] { Checkpoint::open(folder / "absent"); }, "absent: no such file or folder");
  expect_refused(open, "holds no weights; expected model.safetensors");
  write_file(folder / "consolidated.00.pth", "");
  write_file(folder / "consolidated.01.pth", "");
  expect_refused(open, "holds 2 consolidated.*.pth parts");
  write_one(folder / "a.safetensors", "w", 1);
  write_one(folder / "b.safetensors", "w", 2);
  expect_refused(open, "b.safetensors: tensor \"w\" stands in ");
  write_file(folder / "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
  expect_refused(open, "model.safetensors: is a Git LFS pointer");
}

// transformers writes one file over a sharded folder and leaves the old index there.
TEST(Checkpoint, AStaleIndexDoesNotWinOverTheSingleFile) {
  const TemporaryFolder folder;
  const std::string whole = kGolden + "hf_llava15/checkpoint", sharded = kGolden + "hf_llava15/checkpoint_sharded";
  for (const auto& entry : std::filesystem::directory_iterator(sharded))
    std::filesystem::copy(entry.path(), folder / entry.path().filename().string());
  write_one(folder / "model.safetensors", "w", 3);
  EXPECT_EQ(Checkpoint::open(folder.path()).names(), std::vector<std::string>{"w"});
}

TEST(Checkpoint, AnIndexAndItsShardsMustAgree) {
  const TemporaryFolder folder;
  write_one(folder / "a.safetensors", "a", 1);
  write_one(folder / "b.safetensors", "b", 2);
  const auto open = [&](const char* map) {
    write_file(folder / "model.safetensors.index.json", map);
    return Checkpoint::open(folder.path());
  };
  const char* both = R"({"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}})";
  EXPECT_EQ(open(both).names(), (std::vector<std::string>{"a", "b"}));
  expect_refused([&] { open(R"({"weight_map": {"a": "b.safetensors", "b": "b.safetensors"}})"); },
                 "tensor \"a\" is not in \"b.safetensors\", where the index says it is");
  expect_refused([&] { open(R"({"weight_map": {"a": "b.safetensors", "b": "a.safetensors"}})"); },
                 "tensor \"a\" is not in \"b.safetensors\"");
  // As in transformers, the index says which files there are; all that they hold counts.
  write_safetensors(folder / "b.safetensors", {{"b", tensor_of<int8_t>({1}, std::array<int8_t, 1>{2})},
                                               {"c", tensor_of<int8_t>({1}, std::array<int8_t, 1>{3})}});
  EXPECT_EQ(open(both).names(), (std::vector<std::string>{"a", "b", "c"}));
  write_one(folder / "b.safetensors", "a", 2);
  expect_refused([&] { open(both); }, "b.safetensors: tensor \"a\" stands in ");
}

TEST(Checkpoint, PartsThatAreNoRegularFilesAreRefused) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "model.safetensors").c_str(), 0600), 0);
  expect_refused([&] { Checkpoint::open(folder.path()); }, "model.safetensors: is not a regular file");
  std::filesystem::remove(folder / "model.safetensors");
  std::filesystem::create_symlink("/dev/zero", folder / "model.safetensors.index.json");
  expect_refused([&] { Checkpoint::open(folder.path()); }, "index.json: is not a regular file");
}

// With a search for each of them, 50,000 tensors took minutes.
TEST(Checkpoint, OpensTensorsByTheTenThousands) {
  const TemporaryFolder folder;
  std::vector<std::pair<std::string, TensorView>> tensors;
  for (int i = 0; i < 50'000; ++i)
    tensors.emplace_back(concat("layers.", i, ".weight"), tensor_of<int8_t>({1}, std::array<int8_t, 1>{1}));
  write_safetensors(folder / "model-1.safetensors", tensors, {});
  std::string index = R"({"weight_map": {)";
  for (const auto& [name, tensor] : tensors)
    index += concat(index.back() == '{' ? "" : ",", '"', name, R"(": "model-1.safetensors")");
  write_file(folder / "model.safetensors.index.json", index + "}}");
  EXPECT_EQ(Checkpoint::open(folder.path()).names().size(), tensors.size());
}

TEST(Checkpoint, NamesAreBounded) {
  const TemporaryFolder folder;
  write_one(folder / "model.safetensors", std::string(5000, 'x'), 1);
  expect_refused([&] { Checkpoint::open(folder.path()); }, "of a tensor has 5000 bytes, the limit is 4096");
}

TEST(Checkpoint, HostileIndexesAreRefused) {
  const TemporaryFolder folder;
  write_one(folder / "a.safetensors", "w", 1);
  const struct {
    const char* text;
    const char* sentence;
  } cases[] = {
      {"", "not valid JSON"},
      {"[]", "is not a JSON object"},
      {"{}", "has no object 'weight_map'"},
      {R"({"weight_map": []})", "has no object 'weight_map'"},
      {R"({"weight_map": {}})", "'weight_map' names no tensor"},
      {R"({"weight_map": {"w": 1}})", "tensor \"w\" has a shard that is not a string"},
      {R"({"weight_map": {"w": "a.safetensors", "w": "a.safetensors"}})", "the key \"w\" stands twice"},
      {R"({"weight_map": {"w": ""}})", "\"\", which is not a file name in the same folder"},
      {R"({"weight_map": {"w": ".."}})", "\"..\", which is not a file name"},
      {R"({"weight_map": {"w": "../a.safetensors"}})", "\"../a.safetensors\", which is not a file name"},
      {R"({"weight_map": {"w": "/etc/passwd"}})", "\"/etc/passwd\", which is not a file name"},
      {R"({"weight_map": {"w": "x\\a.safetensors"}})", "which is not a file name"},
      {R"({"weight_map": {"w": "a.safetensors\u0000"}})", "which is not a file name"},
      {R"({"weight_map": {"w": "b.safetensors"}})", "the shard \"b.safetensors\" is missing"},
      {R"({"weight_map": {"v": "a.safetensors"}})",
       "tensor \"v\" is not in \"a.safetensors\", where the index says it is"},
      {R"({"weight_map": {"w": {"x": {"y": {"z": 1}}}}})", "JSON is nested deeper than 4 levels"},
  };
  for (const auto& [text, sentence] : cases) {
    write_file(folder / "model.safetensors.index.json", text);
    expect_refused([&] { Checkpoint::open(folder.path()); }, sentence);
  }
}

/// Opens a sparse file: 8 GiB of zeros that take no room on the disk. Reading them would take seconds.
std::chrono::nanoseconds time_of_opening(const std::string& padding) {
  const TemporaryFolder folder;
  const std::string header = R"({"w":{"dtype":"F32","shape":[2048,1048576],"data_offsets":[0,8589934592]}})" + padding;
  std::string length(8, '\0');
  length[0] = static_cast<char>(header.size());
  write_file(folder / "model.safetensors", length + header);
  std::filesystem::resize_file(folder / "model.safetensors", 8 + header.size() + (std::uintmax_t{8} << 30));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(Checkpoint::open(folder.path()).bytes(), int64_t{8} << 30);
  return std::chrono::steady_clock::now() - begin;
}

TEST(Checkpoint, OpeningSeveralGigabytesTouchesTheHeaderOnly) {
  for (const char* padding : {"", " ", "  ", "   "}) EXPECT_LT(time_of_opening(padding), std::chrono::seconds(1));
}

TEST(Checkpoint, AMisalignedTensorIsAlignedWhenItIsFound) {
  const TemporaryFolder folder;
  for (const char* padding : {"", " ", "  ", "   "}) {
    const std::string header = std::string(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})") + padding;
    std::string length(8, '\0');
    length[0] = static_cast<char>(header.size());
    write_file(folder / "model.safetensors", length + header + std::string("\0\0\x80\x3f", 4));
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    const TensorView* tensor = checkpoint.find("w");
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor->bytes.data()) % sizeof(float), 0u);
    EXPECT_EQ(tensor->values<float>()[0], 1.0F);
    EXPECT_EQ(checkpoint.find("w")->bytes.data(), tensor->bytes.data());  // copied once
  }
}

}  // namespace
}  // namespace lithe::io

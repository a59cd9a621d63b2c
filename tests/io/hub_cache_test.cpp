#include "io/hub_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/error.h"
#include "io/safetensors.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;

TEST(HubName, OnlyNamesOfTheHub) {
  const auto name = parse_hub_name("llava-hf/llava-1.5-7b-hf");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->text(), "llava-hf/llava-1.5-7b-hf");
  EXPECT_EQ(download_command(*name), "hf download llava-hf/llava-1.5-7b-hf");
  const auto revision = parse_hub_name("owner/name@refs/pr/1");
  ASSERT_TRUE(revision);
  EXPECT_EQ(revision->name, "name");
  EXPECT_EQ(download_command(*revision), "hf download owner/name --revision refs/pr/1");
  for (const char* text :
       {"", "name", "../..", "a/..", "../name", "/owner/name", "./name", "a/b/c", "owner/", "/name", "o/n@",
        "o/n@../../x", "o/n@/etc", "o/na me", "o/n;rm", "o/n\x1b[2J", "-o/name", "o/n--m", "o@x/n"})
    EXPECT_FALSE(parse_hub_name(text)) << text;
  EXPECT_FALSE(parse_hub_name("owner/" + std::string(200, 'n')));
}

/// A cache as huggingface_hub lays it out: blobs, and snapshots that link to them.
class HubCache : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / concat("lithe_hub_", ::getpid());
    fs::remove_all(root_);
    fs::create_directories(model() / "blobs");
    fs::create_directories(model() / "refs");
    fs::create_directories(snapshot());
    std::ofstream(model() / "refs" / "main") << "abc123\n";
    put("config.json", "{}");
    ::setenv("HF_HUB_CACHE", root_.c_str(), 1);
  }
  void TearDown() override {
    for (const char* variable : {"HF_HUB_CACHE", "HF_HOME"}) ::unsetenv(variable);
    fs::remove_all(root_);
  }

  fs::path model() const { return root_ / "models--owner--name"; }
  fs::path snapshot() const { return model() / "snapshots" / "abc123"; }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(model() / "blobs" / name) << text;
    fs::create_symlink(fs::path("../../blobs") / name, snapshot() / name);
  }
  static std::string refusal(const HubName& name) {
    try {
      cached_snapshot(name);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  fs::path root_;
  const HubName name_{"owner", "name"};
};

TEST_F(HubCache, FindsABranchAndACommit) {
  put("model.safetensors", "x");
  EXPECT_EQ(cached_snapshot(name_), snapshot());
  EXPECT_EQ(cached_snapshot({"owner", "name", "abc123"}), snapshot());
  EXPECT_FALSE(cached_snapshot({"owner", "other"}));
  EXPECT_EQ(name_of_folder(snapshot()), "name");
  EXPECT_EQ(name_of_folder(snapshot() / ""), "name");
  EXPECT_EQ(name_of_folder("/models/name-2"), "name-2");
  const std::string why = refusal({"owner", "name", "v2"});
  EXPECT_NE(why.find("the revision \"v2\" is not in the cache, which holds main"), std::string::npos) << why;
  EXPECT_NE(why.find("`hf download owner/name --revision v2`"), std::string::npos) << why;
}

TEST_F(HubCache, LiesWhereTheVariablesSay) {
  EXPECT_EQ(hub_cache(), root_);
  ::unsetenv("HF_HUB_CACHE");
  ::setenv("HF_HOME", "/data/hf", 1);
  EXPECT_EQ(hub_cache(), "/data/hf/hub");
  ::setenv("HF_HOME", "~/hf", 1);
  const char* const home = std::getenv("HOME");
  EXPECT_EQ(hub_cache(), fs::path(home ? home : "~") / "hf/hub");
}

TEST_F(HubCache, UnfinishedDownloadsAreNamed) {
  EXPECT_NE(refusal(name_).find("is not complete, the file of weights is missing"), std::string::npos)
      << refusal(name_);
  put("model.safetensors.index.json", R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})");
  put("model-1.safetensors", "x");
  EXPECT_NE(refusal(name_).find("model-2.safetensors is missing; run `hf download owner/name` again"),
            std::string::npos)
      << refusal(name_);
  put("model-2.safetensors", "x");
  EXPECT_EQ(refusal(name_), "");
  fs::remove(model() / "blobs" / "model-2.safetensors");  // the link is now dangling
  EXPECT_NE(refusal(name_).find("model-2.safetensors is missing"), std::string::npos);
  fs::remove(snapshot() / "config.json");
  EXPECT_NE(refusal(name_).find("config.json is missing"), std::string::npos);
}

TEST_F(HubCache, AHostileReferenceLeadsNowhere) {
  std::ofstream(model() / "refs" / "main") << "../../..";
  EXPECT_NE(refusal(name_).find("is not in the cache"), std::string::npos);
}

TEST_F(HubCache, AReferenceWithoutItsFilesIsNotHeld) {
  std::ofstream(model() / "refs" / "main") << "removed";
  EXPECT_NE(refusal(name_).find("the revision \"main\" is not in the cache; run `hf download owner/name`"),
            std::string::npos)
      << refusal(name_);
  std::ofstream(model() / "refs" / "v2") << "abc123";
  EXPECT_NE(refusal(name_).find("is not in the cache, which holds v2; run"), std::string::npos) << refusal(name_);
}

}  // namespace
}  // namespace lithe::io

#include "io/resave.h"

#include "io/checkpoint.h"
#include "io/io_test_support.h"
#include "io/safetensors.h"

namespace lithe::io {
namespace {

namespace fs = std::filesystem;

/// A folder that holds a config.json and one tensor of this name.
void make_model(const fs::path& folder, const std::string& tensor) {
  fs::create_directories(folder);
  write_file(folder / "config.json", "{}");
  write_safetensors(folder / "model.safetensors", {{tensor, tensor_of<float>({1}, std::array<float, 1>{1})}});
}

Resaved resave(const fs::path& from, const fs::path& to) {
  NewFolder folder(from, to);
  const Resaved done = resave_folder(folder);
  folder.commit();
  return done;
}

TEST(Resave, TakesTowersBelowAlong) {
  const TemporaryFolder folder;
  make_model(folder / "model", "decoder");
  make_model(folder / "model/vision_tower", "tower");
  EXPECT_EQ(resave(folder / "model", folder / "new").tensors, 2);
  EXPECT_TRUE(Checkpoint::open(folder / "new/vision_tower").contains("tower"));
}

// As towers that several models share are often set up.
TEST(Resave, TakesALinkedTowerAlongAsAFolder) {
  const TemporaryFolder folder;
  make_model(folder / "model", "decoder");
  make_model(folder / "clip", "tower");
  fs::create_directory_symlink(folder / "clip", folder / "model/vision_tower");
  EXPECT_EQ(resave(folder / "model", folder / "new").tensors, 2);
  EXPECT_FALSE(fs::is_symlink(folder / "new/vision_tower"));
  EXPECT_TRUE(Checkpoint::open(folder / "new/vision_tower").contains("tower"));
}

TEST(Resave, LinksThatLeadBackAreLeftOut) {
  const TemporaryFolder folder;
  make_model(folder / "all/model", "decoder");
  make_model(folder / "clip", "tower");
  write_file(folder / "all/config.json", "{}");
  fs::create_directory_symlink(folder / "all", folder / "all/model/above");
  fs::create_directory_symlink(folder / "all/model", folder / "all/model/itself");
  fs::create_directory_symlink(folder / "clip", folder / "all/model/clip");
  fs::create_directory_symlink(folder / "clip", folder / "clip/again");
  EXPECT_EQ(resave(folder / "all/model", folder / "new").tensors, 2);
  EXPECT_FALSE(fs::exists(folder / "new/above"));
  EXPECT_FALSE(fs::exists(folder / "new/itself"));
  EXPECT_FALSE(fs::exists(folder / "new/clip/again"));
}

}  // namespace
}  // namespace lithe::io

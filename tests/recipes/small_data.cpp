#include "recipes/small_data.h"

#include <initializer_list>
#include <string>

#include "base/json.h"
#include "io/atomic_file.h"

namespace lithe::test {
namespace {

namespace fs = std::filesystem;

const fs::path kSets = LITHE_TEST_DATA "/tasks";

/// The pictures lie in the folder of the split that a question belongs to.
void make_scienceqa(const fs::path& folder) {
  fs::copy(kSets / "scienceqa", folder, fs::copy_options::recursive);
  io::write_json_atomic(folder / "pid_splits.json",
                        {{"train", {"4", "2", "3"}}, {"val", {"1", "2"}}, {"test", {"1", "2", "3"}}});
  fs::copy(folder / "images/test", folder / "images/val", fs::copy_options::recursive);
}

/// Questions whose ids no other split has.
void make_slake(const fs::path& folder) {
  fs::copy(kSets / "slake", folder, fs::copy_options::recursive);
  Json questions = read_json_file(folder / "test.json");
  for (const char* split : {"train", "validate"}) {
    for (Json& question : questions) question["qid"] = question.at("qid").get<int64_t>() + 1000;
    io::write_json_atomic(folder / (std::string(split) + ".json"), questions);
  }
}

/// The records of one split are those of all of them.
void make_arrow(const fs::path& set, const std::string& stem, const char* from, const fs::path& folder,
                std::initializer_list<const char*> splits) {
  fs::create_directories(folder);
  for (const char* split : splits) fs::copy_file(set / (stem + from + ".arrow"), folder / (stem + split + ".arrow"));
}

}  // namespace

void make_small_data(const fs::path& folder) {
  fs::create_directories(folder);
  make_scienceqa(folder / "scienceqa");
  make_slake(folder / "slake");
  fs::copy(kSets / "aid_lists", folder / "aid", fs::copy_options::recursive);
  make_arrow(kSets / "vqav2_arrow", "vqav2_", "val", folder / "vqav2", {"train", "trainable_val", "rest_val", "val"});
  make_arrow(kSets / "nlvr2_arrow", "nlvr2_", "dev", folder / "nlvr2", {"train", "dev", "test1"});
  make_arrow(kSets / "flickr30k_arrow", "f30k_caption_karpathy_", "test", folder / "flickr30k", {"train", "test"});
  make_arrow(kSets / "snli_ve_arrow", "snli_", "test", folder / "snli_ve", {"train", "dev", "test"});
}

}  // namespace lithe::test

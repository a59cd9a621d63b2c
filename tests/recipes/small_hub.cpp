#include "recipes/small_hub.h"

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "io/atomic_file.h"
#include "io/safetensors.h"
#include "io/torch_output.h"
#include "recipes/small_models.h"

namespace lithe::test {
namespace {

namespace fs = std::filesystem;

using Tensors = std::vector<std::pair<std::string, io::TensorView>>;

const fs::path kData = LITHE_TEST_DATA;
const fs::path kPicture = fs::path(LITHE_SOURCE_DIR) / "models/images/901.png";
constexpr const char* kTower = "openai/clip-vit-large-patch14-336";
constexpr const char* kProjector = "model.mm_projector.";

/// The files of a folder, and changes to its config; null takes a key out.
void copy_model(const fs::path& from, const fs::path& to, const Json& changes) {
  fs::create_directories(to);
  for (const fs::directory_entry& entry : fs::directory_iterator(from))
    if (entry.is_regular_file()) fs::copy_file(entry.path(), to / entry.path().filename());
  Json config = read_json_file(from / "config.json");
  config.merge_patch(changes);
  fs::remove(to / "config.json");
  io::write_json_atomic(to / "config.json", config);
}

/// p-MoD's golden case of 32 layers with the published schedule, whose tower is in the checkpoint as in the published
/// ones.
void make_p_mod(const fs::path& models) {
  const fs::path golden = kData / "golden/pmod_llavanext/checkpoint", own = models / "MCG-NJU";
  copy_model(golden, own / "p-MoD-LLaVA-NeXT-7B", {{"mm_vision_tower", kTower}});
  copy_model(golden, own / "p-MoD-LLaVA-v1.5-7B",
             {{"mm_vision_tower", kTower},
              {"image_aspect_ratio", "pad"},
              {"image_grid_pinpoints", nullptr},
              {"mm_patch_merge_type", "flat"}});
}

/// The language model in two shards of PyTorch, with numbers that published ones hold and nobody reads.
void write_vicuna(const fs::path& llava, const Tensors& tensors, const fs::path& folder) {
  Json config = read_json_file(llava / "config.json"), kept = {{"model_type", "llama"}};
  for (const auto& [key, value] : config.items())
    if (key.find("mm_") == key.npos && !key.starts_with("image_") && key != "model_type") kept[key] = value;
  copy_model(llava, folder, Json::object());
  fs::remove(folder / "model.safetensors");
  fs::remove(folder / "config.json");
  io::write_json_atomic(folder / "config.json", kept);
  Json places = Json::object();
  for (const int shard : {1, 2}) {
    const std::string name = concat("pytorch_model-0000", shard, "-of-00002.bin");
    Tensors part;
    for (size_t i = shard == 1 ? 0 : tensors.size() / 2; i < (shard == 1 ? tensors.size() / 2 : tensors.size()); ++i)
      part.push_back(tensors[i]);
    if (shard == 1) part.emplace_back("model.layers.0.self_attn.rotary_emb.inv_freq", tensors.front().second);
    for (const auto& [tensor, view] : part) places[tensor] = name;
    io::write_torch(folder / name, part);
  }
  io::write_json_atomic(folder / "pytorch_model.bin.index.json",
                        {{"metadata", Json::object()}, {"weight_map", places}});
}

/// LLaVA-1.5, and what it is made of: Vicuna, the projector of the first stage, and CLIP.
void make_llava(const fs::path& models) {
  const fs::path whole = models / "small-llava", own = models / "liuhaotian";
  make_small_llava(whole);
  fs::create_directories(models / "openai");
  fs::copy(whole / "vision_tower", models / kTower, fs::copy_options::recursive);
  copy_model(whole, own / "llava-v1.5-7b", {{"mm_vision_tower", kTower}, {"_name_or_path", "llava-v1.5-7b"}});
  const io::SafetensorsFile file = io::open_safetensors(whole / "model.safetensors");
  Tensors language, projector;
  for (const auto& [name, tensor] : file.tensors)
    (name.starts_with(kProjector) ? projector : language).emplace_back(name, tensor);
  write_vicuna(whole, language, models / "lmsys/vicuna-7b-v1.5");
  const fs::path first_stage = own / "llava-v1.5-mlp2x-336px-pretrain-vicuna-7b-v1.5";
  fs::create_directories(first_stage);
  io::write_torch(first_stage / "mm_projector.bin", projector);
  io::write_json_atomic(
      first_stage / "config.json",
      {{"model_type", "llava"}, {"mm_vision_tower", kTower}, {"mm_hidden_size", 32}, {"image_aspect_ratio", "square"}});
  fs::remove_all(whole);
}

Json turns(const std::string& question, const std::string& answer) {
  return {{{"from", "human"}, {"value", question}}, {{"from", "gpt"}, {"value", answer}}};
}

/// Records as those of LLaVA's mix: of one turn, of several, of text alone, with a turn's head in the text.
void make_llava_mix(const fs::path& folder) {
  Json several = turns("What is this?\n<image>", "A box.");
  for (const Json& turn : turns("And its colour?", "Red.")) several.push_back(turn);
  const Json records = {
      {{"id", "1"},
       {"image", "coco/train2017/1.jpg"},
       {"conversations", turns("<image>\nIs it red?\nAnswer the question using a single word or phrase.", "Yes")}},
      {{"id", "2"}, {"image", "gqa/images/2.jpg"}, {"conversations", several}},
      {{"id", "3"}, {"image", "ocr_vqa/images/3.jpg"}, {"conversations", turns("<image>\nWho wrote this?", "A poet.")}},
      {{"id", "4"}, {"model", ""}, {"conversations", turns("Say more.", "More. ASSISTANT: And more.")}},
      {{"id", "5"}, {"image", "vg/VG_100K/5.jpg"}, {"conversations", turns("<image>\nWhere is it?", "There.")}},
  };
  fs::create_directories(folder);
  io::write_json_atomic(folder / "llava_v1_5_mix665k.json", records);
}

/// Under the names that the sets have on the hub; DocVQA's repository holds InfographicVQA too.
void make_benchmarks(const fs::path& folder) {
  constexpr std::pair<const char*, const char*> kSets[] = {
      {"seedbench", "SEED-Bench"},
      {"realworldqa", "RealWorldQA"},
      {"mme", "MME"},
      {"mmbench_en_dev", "MMBench"},
      {"pope", "POPE"},
      {"gqa", "GQA"},
      {"ai2d", "ai2d"},
      {"docvqa_val", "DocVQA"},
      {"infovqa_val", "DocVQA"},
      {"chartqa", "ChartQA"},
      {"textvqa_val", "textvqa"},
      {"ok_vqa_val2014", "OK-VQA"},
      {"mmmu_val", "MMMU"},
      {"scienceqa_img", "ScienceQA"},
  };
  fs::create_directories(folder);
  for (const auto& [task, name] : kSets)
    fs::copy(kData / "benchmarks" / task, folder / name, fs::copy_options::recursive);
}

}  // namespace

void make_small_hub(const fs::path& folder) {
  make_p_mod(folder / "models");
  make_llava(folder / "models");
  make_benchmarks(folder / "datasets/lmms-lab");
  make_llava_mix(folder / "datasets/liuhaotian/LLaVA-Instruct-150K");
  const fs::path next = folder / "datasets/lmms-lab/LLaVA-NeXT-Data/data";
  fs::create_directories(next);
  fs::copy_file(kData / "data_sets/talks_zstd.parquet", next / "train-00000-of-00001.parquet");
  fs::copy_file(kData / "data_sets/2.png", next / "2.png");  // one of its records names a file
}

void make_llava_pictures(const fs::path& folder) {
  for (const char* name : {"coco/train2017/1.jpg", "gqa/images/2.jpg", "ocr_vqa/images/3.jpg", "vg/VG_100K/5.jpg"}) {
    fs::create_directories((folder / name).parent_path());
    fs::copy_file(kPicture, folder / name);
  }
}

void write_hf(const fs::path& tools) {
  fs::create_directories(tools);
  std::ofstream(tools / "hf") << R"sh(#!/bin/sh
[ "$1" = download ] || exit 2
kind=models name=$2 pattern='*' to=
shift 2
while [ $# -gt 0 ]; do
  case $1 in
    --repo-type) kind=$2s; shift 2 ;;
    --include) pattern=$2; shift 2 ;;
    --local-dir) to=$2; shift 2 ;;
    *) pattern=$1; shift ;;
  esac
done
from=$STAND_INS/$kind/$name
[ -d "$from" ] && [ -n "$to" ] || { echo "hf: no folder $from, or no --local-dir" >&2; exit 1; }
count=0
for file in $(cd "$from" && find . -type f | sed 's|^[.]/||'); do
  case $file in
    $pattern) mkdir -p "$(dirname "$to/$file")" && cp "$from/$file" "$to/$file" && count=$((count + 1)) ;;
  esac
done
[ $count -gt 0 ] || { echo "hf: $name has no file like $pattern" >&2; exit 1; }
)sh";
  fs::permissions(tools / "hf", fs::perms::owner_all);
}

}  // namespace lithe::test

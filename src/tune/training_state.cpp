#include "tune/training_state.h"

#include <ATen/core/grad_mode.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "checkpoints/read/weights.h"
#include "io/atomic_file.h"
#include "io/new_folder.h"
#include "io/safetensors.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPoint = "training_state.json";
constexpr const char* kTensors = "training_state.safetensors";
constexpr int64_t kMostPointBytes = 1 << 20;
constexpr int64_t kMostRecords = int64_t{1} << 53;  ///< That a run may have taken.
constexpr const char* kHead = "checkpoint-";

/// Every parameter as "NAME", in its own memory.
void visit_parameters(const AdamW& optimiser, const std::function<void(const std::string&, const Tensor&)>& visitor) {
  optimiser.for_each_parameter(
      [&](const Parameter& parameter) { visitor(models::text_of(parameter.name), parameter.values.detach()); });
}

std::span<const std::byte> bytes_of(const Tensor& values) {
  return {static_cast<const std::byte*>(values.const_data_ptr()), static_cast<size_t>(values.nbytes())};
}

std::optional<int64_t> step_of(const fs::path& folder) {
  const std::string name = folder.filename().string(), head = kHead;
  if (!name.starts_with(head)) return std::nullopt;
  int64_t number = 0;
  const auto read = std::from_chars(name.data() + head.size(), name.data() + name.size(), number);
  return read.ec == std::errc() && read.ptr == name.data() + name.size() ? std::optional(number) : std::nullopt;
}

/// Every folder that is named as a checkpoint, in no order.
std::vector<CheckpointFolder> numbered_folders(const fs::path& output) {
  std::vector<CheckpointFolder> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(output, ignored))
    if (const std::optional<int64_t> step = step_of(entry.path())) found.push_back({*step, entry.path()});
  return found;
}

bool has_state(const CheckpointFolder& folder) {
  std::error_code ignored;
  return fs::exists(folder.path / kPoint, ignored);
}

}  // namespace

void write_training_state(const std::optional<fs::path>& folder, const RunPoint& point, const AdamW& optimiser) {
  if (!folder) return optimiser.gather_state([](const std::string&, const Tensor&) {});
  std::vector<io::SafetensorsWriter::Entry> entries;
  visit_parameters(optimiser, [&](const std::string& name, const Tensor& values) {
    entries.push_back({name, io::Dtype::float32, values.sizes().vec()});
    for (const char* const moment : {".average", ".average_square"})
      entries.push_back({name + moment, io::Dtype::float32, values.sizes().vec()});
    entries.push_back({name + ".steps", io::Dtype::float32, {}});
  });
  io::SafetensorsWriter writer(*folder / kTensors, entries, {});
  const auto put = [&](const std::string& name, const Tensor& values) {
    writer.put(name, bytes_of(values.cpu().contiguous()));
  };
  visit_parameters(optimiser, put);
  optimiser.gather_state(put);
  writer.commit();
  Json json{{"step", point.step},
            {"taken", point.taken},
            {"skipped", point.skipped},
            {"batch", point.batch},
            {"recipe", point.recipe}};
  if (point.best) json["best"] = *point.best;
  if (!point.best_checkpoint.empty()) json["best_checkpoint"] = point.best_checkpoint;
  io::write_json_atomic(*folder / kPoint, json);
}

RunPoint read_training_state(const fs::path& folder, AdamW& optimiser) {
  const Json json = read_json_file(folder / kPoint, kMostPointBytes);
  const JsonView view(json, (folder / kPoint).string());
  RunPoint point{.step = view.integer("step"),
                 .taken = view.integer("taken"),
                 .skipped = view.integer("skipped"),
                 .batch = view.integer("batch", 0),
                 .best_checkpoint = view.text("best_checkpoint", ""),
                 .recipe = view.text("recipe")};
  if (view.has("best")) point.best = view.number("best");
  const bool counted = point.step >= 0 && point.step <= kMostRecords && point.skipped >= 0 &&
                       point.skipped <= point.taken && point.taken <= kMostRecords;
  require(counted, Fault::bad_file, view.source(), ": 'step', 'taken' and 'skipped' are not those of a run");
  const io::SafetensorsFile file = io::open_safetensors(folder / kTensors);
  const at::NoGradGuard no_gradient;
  const auto read = [&](const std::string& name, const Tensor& values) {
    const auto held = file.tensors.find(name);
    require(held != file.tensors.end() && held->second.shape == values.sizes().vec(), Fault::bad_file, folder.string(),
            ": has no ", in_quotes(name), " of the shape of what learns now; resume with the recipe ",
            "that the checkpoint is of");
    values.copy_(models::tensor_over(held->second));
  };
  size_t learn = 0;
  visit_parameters(optimiser, [&](const std::string& name, const Tensor& values) {
    read(name, values);
    ++learn;
  });
  optimiser.visit_state(read);
  // Of each parameter its values, two averages and a number of steps.
  require(4 * learn == file.tensors.size(), Fault::bad_file, folder.string(),
          ": holds weights that do not learn now; resume with the recipe that the checkpoint is of");
  return point;
}

std::vector<CheckpointFolder> checkpoints_in(const fs::path& output) {
  std::vector<CheckpointFolder> found = numbered_folders(output);
  std::erase_if(found, [](const CheckpointFolder& folder) { return !has_state(folder); });
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return found;
}

void refuse_stateless_after(const fs::path& output, int64_t step) {
  for (const CheckpointFolder& folder : numbered_folders(output))
    require(folder.step <= step || has_state(folder), Fault::bad_file, folder.path.string(), ": has no ", kPoint,
            ", so the run cannot go on from it; remove the folder to go on ", "from step ", step);
}

void remove(const CheckpointFolder& checkpoint) {
  const fs::path part = io::NewFolder::part_of(checkpoint.path, getpid());
  std::error_code ignored;
  fs::remove_all(part, ignored);
  fs::rename(checkpoint.path, part, ignored);
  fs::remove_all(part, ignored);
}

void keep_newest(const fs::path& output, int64_t most, const std::string& best) {
  const std::vector<CheckpointFolder> found = checkpoints_in(output);
  int64_t extra = std::ssize(found) - most;
  for (const CheckpointFolder& checkpoint : found) {
    if (extra-- <= 0) return;
    if (checkpoint.path.filename() != best) remove(checkpoint);
  }
}

void remove_parts(const fs::path& output) {
  std::error_code ignored;
  std::vector<fs::path> parts;
  for (const auto& entry : fs::directory_iterator(output, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(concat(".", kHead)) && name.find(".part-") != std::string::npos) parts.push_back(entry.path());
  }
  for (const fs::path& part : parts) fs::remove_all(part, ignored);
}

}  // namespace lithe::tune

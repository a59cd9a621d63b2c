#include "tune/output.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "checkpoints/write/lora_folder.h"
#include "checkpoints/write/tuned.h"
#include "io/mapped_file.h"
#include "tune/methods.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;

bool says_what_it_is(const fs::path& file) {
  return file.filename() == "config.json" || file.filename() == "adapter_config.json";
}

/// Moves what lies in `from` into `to`, in place of what is called the same.
void move_into(const fs::path& from, const fs::path& to) {
  std::vector<fs::path> entries;
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) entries.push_back(entry.path());
  std::stable_partition(entries.begin(), entries.end(), [](const fs::path& file) { return !says_what_it_is(file); });
  for (const fs::path& entry : entries) {
    const fs::path place = to / entry.filename();
    if (fs::is_directory(place)) fs::remove_all(place);
    fs::rename(entry, place);
  }
  fs::remove(from);
}

bool is_state(const fs::path& file) {
  return file.filename().string().starts_with("training_state.");
}

bool same_bytes(const fs::path& a, const fs::path& b) {
  if (fs::file_size(a) != fs::file_size(b)) return false;
  const io::Bytes left = io::map_file(a), right = io::map_file(b);
  return std::equal(left.span.begin(), left.span.end(), right.span.begin(), right.span.end());
}

}  // namespace

void write_tuned_model(const models::Model& model, const plan::Plan& plan, const Recipe& recipe,
                       const fs::path& folder) {
  if (recipe.lora) {
    models::write_lora(model, lora_shape(recipe, model), plan, folder);
  } else {
    const auto epochs = static_cast<int64_t>(std::ceil(recipe.num_train_epochs));
    models::write_tuned(model, plan, folder,
                        {.plan_is_final = recipe.eas.has_value(), .last_epoch = std::max<int64_t>(epochs, 1) - 1});
  }
}

void put_whole(const fs::path& output, const std::function<void(const fs::path&)>& write) {
  const fs::path part = output / ".tuned.part";
  try {
    fs::remove_all(part);
    fs::create_directory(part);
    write(part);
    // A plan.json of a former model must not speak for one whose config.json says its plan.
    for (const char* const old : {"config.json", "adapter_config.json", "plan.json"}) fs::remove(output / old);
    move_into(part, output);
  } catch (const fs::filesystem_error& error) {
    fail(Fault::bad_file, output.string(), ": the tuned model cannot be written: ", error.code().message());
  }
}

bool holds_tuned(const fs::path& output, const fs::path& checkpoint) {
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(checkpoint, none)) {
    const fs::path place = output / entry.path().filename();
    if (is_state(entry.path())) continue;
    if (!fs::exists(place, none)) return false;
    const bool text = entry.path().extension() == ".json" || !entry.is_regular_file(none);
    if (!text && !same_bytes(entry.path(), place)) return false;
  }
  return true;
}

}  // namespace lithe::tune

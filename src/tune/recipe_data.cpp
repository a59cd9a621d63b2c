#include "tune/recipe_data.h"

#include "base/error.h"
#include "base/printable.h"
#include "tasks/records.h"
#include "tasks/set_files.h"

namespace lithe::tune {

std::unique_ptr<data::DataSet> open_set(const DataSet& set, const std::string& family,
                                        const image::DecodeOptions& decode) {
  if (!set.task.empty())
    return tasks::records_of(
        set.task, {.data = set.path, .split = set.split, .prompt = set.prompt, .family = family, .decode = decode});
  const std::string task = tasks::task_in(set.path);
  require(task.empty(), Fault::bad_request, in_quotes(set.path), " is the folder of the benchmark ", task,
          "; say so: `task: ", task, "` in a recipe, `--task ", task, "` for `lithe search` and `lithe quantize`");
  return data::DataSet::open({.path = set.path,
                              .images = set.images,
                              .entry = set.dataset,
                              .formatting = set.formatting,
                              .columns = set.columns,
                              .tags = set.tags,
                              .decode = decode});
}

std::vector<WeightedSet> open_sets(const std::vector<DataSet>& sets, const std::string& family,
                                   const image::DecodeOptions& decode) {
  std::vector<WeightedSet> opened;
  for (const DataSet& set : sets) opened.push_back({open_set(set, family, decode), set.weight});
  return opened;
}

}  // namespace lithe::tune

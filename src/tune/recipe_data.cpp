#include "tune/recipe_data.h"

#include "tasks/records.h"

namespace lithe::tune {

std::unique_ptr<data::DataSet> open_set(const DataSet& set, const std::string& family,
                                        const image::DecodeOptions& decode) {
  if (!set.task.empty())
    return tasks::records_of(
        set.task, {.data = set.path, .split = set.split, .prompt = set.prompt, .family = family, .decode = decode});
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

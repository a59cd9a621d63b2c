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

}  // namespace lithe::tune

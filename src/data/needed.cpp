#include "data/needed.h"

#include <algorithm>

#include "base/error.h"

namespace lithe::data {
namespace {

bool are_numbers(const Json& list) {
  return list.is_array() &&
         std::all_of(list.begin(), list.end(), [](const Json& value) { return value.is_number_integer(); });
}

std::vector<int64_t> numbers_in(const Json& list) {
  std::vector<int64_t> numbers;
  for (const Json& value : list) {
    require(value.is_number_unsigned() && value.get<uint64_t>() <= INT64_MAX, Fault::bad_file,
            "'needed' holds a number that is not that of a vision token");
    numbers.push_back(value.get<int64_t>());
  }
  return numbers;
}

}  // namespace

std::vector<std::vector<int64_t>> needed_in(const Json& row, std::size_t pictures) {
  const auto found = row.is_object() ? row.find(kNeeded) : row.end();
  if (found == row.end() || !found->is_array() || found->empty()) return {};
  if (are_numbers(*found)) {
    require(pictures == 1, Fault::bad_file, "'needed' is one list of vision tokens for ", pictures,
            " pictures; give a list for each picture");
    return {numbers_in(*found)};
  }
  if (!std::all_of(found->begin(), found->end(), are_numbers)) return {};
  require(found->size() == pictures, Fault::bad_file, "'needed' holds ", found->size(), " lists for ", pictures,
          pictures == 1 ? " picture" : " pictures");
  std::vector<std::vector<int64_t>> needed;
  for (const Json& list : *found) needed.push_back(numbers_in(list));
  return needed;
}

}  // namespace lithe::data

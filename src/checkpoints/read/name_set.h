#pragma once

#include <set>
#include <string>
#include <string_view>

namespace lithe::models {

/// Names of tensors, and prefixes that end with a point and stand for every name below them.
class NameSet {
 public:
  void insert(std::string name_or_prefix) { entries_.insert(std::move(name_or_prefix)); }

  bool holds(std::string_view name) const {
    if (entries_.contains(name)) return true;
    for (size_t point = name.find('.'); point != name.npos; point = name.find('.', point + 1)) {
      if (entries_.contains(name.substr(0, point + 1))) return true;
    }
    return false;
  }

 private:
  std::set<std::string, std::less<>> entries_;
};

}  // namespace lithe::models

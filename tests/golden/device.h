#pragma once

#include <string>

#include "models/loading.h"

namespace lithe::golden {

/// Where the models of all cases run: "cpu", or what --device says.
inline std::string& device() {
  static std::string name = "cpu";
  return name;
}

/// On a GPU, products of weights of 16 bits round their rows; the cases do not.
inline models::WeightStorage exact_storage() {
  return device() == "cpu" ? models::WeightStorage::as_in_file : models::WeightStorage::float32;
}

}  // namespace lithe::golden

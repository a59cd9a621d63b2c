#pragma once

#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <sstream>
#include <string>
#include <vector>

// What the programs of this folder have in common.
namespace lithe::bench {

/// "int8,int4"
inline std::vector<std::string> names_of(const std::string& text) {
  std::vector<std::string> names;
  std::stringstream stream(text);
  for (std::string name; std::getline(stream, name, ',');) names.push_back(name);
  return names;
}

/// "128,512"
inline std::vector<int64_t> numbers_of(const std::string& text) {
  std::vector<int64_t> numbers;
  for (const std::string& name : names_of(text)) numbers.push_back(std::stoll(name));
  return numbers;
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

inline double least(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

/// Of the machine, over the last minute.
inline double load() {
  double now = 0;
  getloadavg(&now, 1);
  return now;
}

/// The exit code of `run`; 2, after its sentence, if it throws.
template <class Run>
int exit_code(const Run& run) {
  try {
    run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}

}  // namespace lithe::bench

#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "io/tensor_view.h"

namespace lithe::golden {

struct Tolerance {
  double absolute = 0;
  double relative = 0;
};

/// What the rounding of float64 may change.
inline constexpr double kDoubleRounding = 1e-9;

/// The "tolerances" of a case.json: texts like "abs 2e-4 + rel 1e-4 (why)" or "atol 5e-5 rtol 1e-4" under keys like
/// "hidden/logits/router".
class Tolerances {
 public:
  /// Every tolerance counts `times`: products of two terms of bfloat16 round more than float32.
  Tolerances(const Json& case_json, double times);
  /// Of the first of `kinds` that a key names ("pixel_values", "features", "hidden", "logits", "router"); if no key
  /// names one, the project's float32 tolerance, 1e-5.
  Tolerance of(std::initializer_list<const char*> kinds) const;
  /// What a tolerance that the case says in its own words must be multiplied by.
  double times() const { return times_; }

 private:
  std::vector<std::pair<std::string, Tolerance>> entries_;
  double times_;
};

/// What a case compared and what differed.
class Check {
 public:
  explicit Check(std::string where = {}) : where_(std::move(where)) {}

  void floats(const std::string& name, const io::TensorView& expected, std::span<const float> actual, Tolerance);
  /// The same of float64 tensors.
  void doubles(const std::string& name, const io::TensorView& expected, std::span<const double> actual, Tolerance);
  void integers(const std::string& name, const std::vector<int64_t>& expected, const std::vector<int64_t>& actual);
  /// One number.
  void near(const std::string& name, double expected, double actual, double most);
  void texts(const std::string& name, const std::string& expected, const std::string& actual);
  void fault(const std::string& what);
  /// A tensor that nothing here compares; the line says so.
  void skip(const std::string& kind) { skipped_.insert(kind); }
  void add(const Check& other);

  int64_t compared() const { return compared_; }
  const std::vector<std::string>& faults() const { return faults_; }
  const std::set<std::string>& skipped() const { return skipped_; }

 private:
  template <class T>
  void numbers(const std::string& name, const io::TensorView& expected, std::span<const T> actual, Tolerance);

  std::string where_;  ///< In front of every fault: a checkpoint's name.
  int64_t compared_ = 0;
  std::vector<std::string> faults_;
  std::set<std::string> skipped_;
};

/// The elements of an integer tensor (int64, int32, uint8).
std::vector<int64_t> integers_of(const io::TensorView& tensor);

}  // namespace lithe::golden

#include "golden/check.h"

#include <fmt/format.h>
#include <cmath>
#include <regex>

#include "base/error.h"

namespace lithe::golden {

Tolerances::Tolerances(const Json& case_json, double times) : times_(times) {
  static const std::regex absolute(R"((?:abs(?:olute)?|atol)\s+([0-9.]+(?:e[-+]?\d+)?))");
  static const std::regex relative(R"((?:rel(?:ative)?|rtol)\s+([0-9.]+(?:e[-+]?\d+)?))");
  if (!case_json.contains("tolerances")) return;
  for (const auto& [key, value] : case_json.at("tolerances").items()) {
    const std::string text = value.get<std::string>();
    Tolerance tolerance;
    std::smatch match;
    const bool a = std::regex_search(text, match, absolute);
    if (a) tolerance.absolute = std::stod(match[1]);
    const bool r = std::regex_search(text, match, relative);
    if (r) tolerance.relative = std::stod(match[1]);
    if (a || r) entries_.emplace_back(key, tolerance);
  }
}

Tolerance Tolerances::of(std::initializer_list<const char*> kinds) const {
  for (const char* kind : kinds) {
    for (const auto& [key, tolerance] : entries_) {
      if (key.find(kind) != std::string::npos) return {times_ * tolerance.absolute, times_ * tolerance.relative};
    }
  }
  return {times_ * 1e-5, times_ * 1e-5};
}

template <class T>
void Check::numbers(const std::string& name, const io::TensorView& expected, std::span<const T> actual,
                    Tolerance tolerance) {
  ++compared_;
  const std::span<const T> values = expected.values<T>();
  if (values.size() != actual.size()) {
    return fault(fmt::format("{} has {} values, expected {}", name, actual.size(), io::text_of(expected.shape)));
  }
  double worst = 0;
  std::size_t beyond = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double difference = std::abs(static_cast<double>(actual[i]) - values[i]);
    // Not `>`: a NaN is beyond every tolerance.
    if (!(difference <= tolerance.absolute + tolerance.relative * std::abs(values[i]))) ++beyond;
    if (!(difference <= worst)) worst = difference;
  }
  if (beyond > 0) fault(fmt::format("{} max diff {:.3g}, {} of {} beyond", name, worst, beyond, values.size()));
}

void Check::floats(const std::string& name, const io::TensorView& expected, std::span<const float> actual,
                   Tolerance tolerance) {
  numbers(name, expected, actual, tolerance);
}

void Check::doubles(const std::string& name, const io::TensorView& expected, std::span<const double> actual,
                    Tolerance tolerance) {
  numbers(name, expected, actual, tolerance);
}

void Check::integers(const std::string& name, const std::vector<int64_t>& expected,
                     const std::vector<int64_t>& actual) {
  ++compared_;
  if (expected == actual) return;
  if (expected.size() != actual.size()) {
    return fault(fmt::format("{} has {} values, expected {}", name, actual.size(), expected.size()));
  }
  std::size_t i = 0;
  while (expected[i] == actual[i]) ++i;
  fault(fmt::format("{}[{}] is {}, expected {}", name, i, actual[i], expected[i]));
}

void Check::near(const std::string& name, double expected, double actual, double most) {
  ++compared_;
  if (!(std::abs(actual - expected) <= most)) {
    fault(fmt::format("{} is {:.8g}, expected {:.8g} within {:.2g}", name, actual, expected, most));
  }
}

void Check::texts(const std::string& name, const std::string& expected, const std::string& actual) {
  ++compared_;
  if (expected != actual) fault(fmt::format("{} is '{}', expected '{}'", name, actual, expected));
}

void Check::fault(const std::string& what) {
  faults_.push_back(where_.empty() ? what : where_ + ": " + what);
}

void Check::add(const Check& other) {
  compared_ += other.compared_;
  faults_.insert(faults_.end(), other.faults_.begin(), other.faults_.end());
  skipped_.insert(other.skipped_.begin(), other.skipped_.end());
}

std::vector<int64_t> integers_of(const io::TensorView& tensor) {
  const auto copy = [](auto values) { return std::vector<int64_t>(values.begin(), values.end()); };
  switch (tensor.dtype) {
    case io::Dtype::boolean: {
      std::vector<int64_t> flags;
      for (const std::byte byte : tensor.bytes) flags.push_back(byte != std::byte{0} ? 1 : 0);
      return flags;
    }
    case io::Dtype::int64:
      return copy(tensor.values<int64_t>());
    case io::Dtype::int32:
      return copy(tensor.values<int32_t>());
    case io::Dtype::uint8:
      return copy(tensor.values<uint8_t>());
    default:
      fail(Fault::bad_file, "The golden tensor is ", io::name_of(tensor.dtype), ", not an integer.");
  }
}

}  // namespace lithe::golden

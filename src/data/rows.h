#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"

namespace lithe::data {

/// The rows of a file as its format gives them. What their fields mean is the dialect's business (dialect.h).
class Rows {
 public:
  virtual ~Rows() = default;
  virtual int64_t size() const = 0;
  /// The fields of row `i` as an object; bytes of pictures are binary values. Safe to call from several threads. Throws
  /// Error{bad_file} without the row's name.
  virtual Json read(int64_t i) const = 0;
  /// The row's name in messages: "train.json, record 12".
  virtual std::string name(int64_t i) const = 0;
};

/// The rows of several files, one after the other.
std::unique_ptr<Rows> join(std::vector<std::unique_ptr<Rows>> parts);

}  // namespace lithe::data

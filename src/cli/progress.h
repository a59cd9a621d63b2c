#pragma once

#include <cstdint>
#include <string>

namespace lithe::cli {

/// One line on stderr that says how far something is, rewritten in place; nothing where stderr is no terminal.
class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();  ///< Wipes the line.
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(int64_t done, int64_t total);
  void show(const std::string& state);

 private:
  std::string what_;
  std::string shown_;
  bool terminal_;
};

}  // namespace lithe::cli

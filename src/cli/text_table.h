#pragma once

#include <string>
#include <vector>

namespace lithe::cli {

/// A table of texts. Every row has as many cells as the header.
struct TextTable {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;

  /// With `|` between padded cells: Markdown that reads well as it is. Cells that begin with a digit are aligned right.
  std::string markdown() const;
  /// Comma-separated; cells with commas or quotes are quoted.
  std::string csv() const;
};

}  // namespace lithe::cli

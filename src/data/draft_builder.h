#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/dialect.h"

namespace lithe::data {

/// Collects turns, and matches their picture marks with the pictures of the row.
class DraftBuilder {
 public:
  /// `content`: text with marks, or a list of parts as the OpenAI API has them. Throws Error{bad_file}.
  void add(std::string role, const Json& content);
  /// A system text in front, unless the conversation brings its own or the text is empty.
  void add_system(const std::string& text);
  /// `pictures` (one, a list, or absent) belong to the marks that brought none of their own. If no turn has a mark,
  /// they stand in front of the first user turn. Throws Error{bad_file} if there are more or fewer than marks.
  Draft take(const Json* pictures);

 private:
  void add_part(const Json& part, std::string& text);

  std::vector<Turn> turns_;
  std::vector<std::optional<Json>> marks_;  ///< In order; absent: the next picture of the row.
};

}  // namespace lithe::data

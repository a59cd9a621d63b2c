#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "data/record.h"

namespace lithe::data {

/// A conversation whose pictures are not looked up yet.
struct Draft {
  std::vector<Turn> turns;
  std::vector<Json> pictures;  ///< In the order of the marks, as Pictures::find takes them.
};

/// How the fields of a row make a conversation: the column and tag names of LLaMA-Factory, with its defaults and the
/// names that public data sets use when nothing is given.
class Dialect {
 public:
  using Names = std::map<std::string, std::string>;

  /// Throws Error{bad_request} for a formatting, column or tag that is unknown.
  Dialect(std::string formatting, Names columns, Names tags);

  /// Every column that draft() may look at.
  std::vector<std::string> wanted() const;
  /// Throws Error{bad_file} that says which field is wrong.
  Draft draft(const Json& row) const;
  /// The row's own id as text, if it has one.
  static std::optional<std::string> id_of(const Json& row);

 private:
  /// The value of a column; absent if the row has none or null.
  const Json* column(const Json& row, const std::string& name) const;
  std::string role_of(const std::string& tag) const;
  std::string tag(const Json& message, const std::string& name) const;
  void add_messages(const Json& messages, class DraftBuilder& builder) const;
  void add_question(const Json& row, class DraftBuilder& builder) const;

  std::string formatting_;
  Names columns_, tags_;
};

}  // namespace lithe::data

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/bytes.h"

namespace lithe::io {

/// A Python pickle read as data. Nothing runs: a call stays a note of what would be called with which arguments.
/// Values lie in one array and refer to each other by number, so no depth of nesting and no cycle can exhaust a stack.
class Pickle {
 public:
  using Id = uint32_t;

  struct Value {
    enum class Kind {
      none,
      boolean,  ///< `integer` is 0 or 1.
      integer,  ///< Within 64 bits; a longer one is `text` with its little-endian bytes.
      real,
      text,        ///< str and bytes.
      sequence,    ///< list, tuple, set; `items`.
      dict,        ///< `items` are key, value, key, value. Attributes of an object become entries too.
      global,      ///< A name that the caller allowed; `text` is "module.name".
      call,        ///< `items` are the global and the sequence of arguments.
      persistent,  ///< `items` is what the file says instead of a storage.
    };
    Kind kind = Kind::none;
    int64_t integer = 0;
    double real = 0;
    std::string text;
    std::vector<Id> items;
  };

  /// What a global may be used for.
  enum class Role {
    label,     ///< Named only.
    dict,      ///< Called: a dict, from nothing, a dict, or a list of pairs.
    sequence,  ///< Called: its first argument's items.
    call,      ///< Called: a `call`.
    first,     ///< Called: its first argument.
  };
  /// The role of "module.name"; absent if it is refused.
  using Roles = std::optional<Role> (*)(std::string_view global);

  /// Reads one pickle at the start of `bytes`, of at most 32 MiB and 2 million values; protocols 2 to 5, the opcodes
  /// that plain data needs. Throws Error{bad_file}.
  Pickle(const Bytes& bytes, Roles roles);

  const Value& root() const { return values_[root_]; }
  const Value& operator[](Id id) const { return values_[id]; }
  const std::vector<Value>& values() const { return values_; }
  std::size_t consumed() const { return consumed_; }  ///< Bytes of the pickle itself.

  /// The value of a dict's last entry with this key; null if it is not a dict or has none.
  const Value* entry(const Value& dict, std::string_view key) const;

 private:
  friend class PickleReader;
  std::vector<Value> values_;
  Id root_ = 0;
  std::size_t consumed_ = 0;
};

}  // namespace lithe::io

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json_limits.h"
#include "base/printable.h"

namespace lithe {
namespace {

constexpr int kOutOfRange = 406;  // the library's number for numbers that no double holds

/// Builds the value as its parts come. The library's own builder searches an object for every key that comes, and with
/// a callback every object for every value that ends: a text of 50,000 keys takes minutes.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(const std::string& source, const JsonLimits& limits) : source_(source), limits_(limits) {}

  Json take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // never in text

  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_array() override {
    open_.pop_back();
    return true;
  }
  bool key(string_t& name) override {
    object().emplace_back(std::move(name), Json());
    return true;
  }
  bool end_object() override {
    settle_keys();
    open_.pop_back();
    return true;
  }

  bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception& error) override {
    if (error.id == kOutOfRange) fail(Fault::bad_file, source_, ": not valid JSON, a number is out of range");
    fail(Fault::bad_file, source_, ": not valid JSON at byte ", byte);
  }

 private:
  using Object = Json::object_t;

  /// Of the object that is open. Its base is a vector, which appends without a search.
  Object::Container& object() { return open_.back()->get_ref<Object&>(); }

  /// The place of the next value: the root, after the last of a list, or of the key that came last.
  Json& place() {
    require(++values_ <= limits_.max_values, Fault::bad_file, source_, ": the JSON holds more than ",
            limits_.max_values, " values");
    if (open_.empty()) return root_;
    if (open_.back()->is_object()) return object().back().second;
    return open_.back()->get_ref<Json::array_t&>().emplace_back();
  }

  template <class Value>
  bool put(Value&& value) {
    place() = std::forward<Value>(value);
    return true;
  }

  bool open(Json empty) {
    require(open_.size() < limits_.max_depth, Fault::bad_file, source_, ": JSON is nested deeper than ",
            limits_.max_depth, " levels");
    // The address holds while the container is open, as nothing is added around it until then.
    Json& value = place();
    value = std::move(empty);
    open_.push_back(&value);
    return true;
  }

  /// A key that stands twice: refused, or the first place with the last value, as in Python.
  void settle_keys() {
    Object::Container& entries = object();
    std::vector<std::size_t> order(entries.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const int sign = entries[a].first.compare(entries[b].first);
      return sign != 0 ? sign < 0 : a < b;
    });
    std::vector<bool> drop(entries.size(), false);
    std::size_t first = 0, dropped = 0;
    for (std::size_t i = 1; i < order.size(); ++i) {
      const std::string& key = entries[order[i]].first;
      if (key != entries[order[first]].first) {
        first = i;
        continue;
      }
      require(!limits_.unique_keys, Fault::bad_file, source_, ": the key ", in_quotes(key), " stands twice");
      entries[order[first]].second = std::move(entries[order[i]].second);
      drop[order[i]] = true;
      ++dropped;
    }
    if (dropped > 0) drop_entries(drop);
  }

  void drop_entries(const std::vector<bool>& drop) {
    Object kept;
    Object::Container& entries = object();
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (!drop[i]) static_cast<Object::Container&>(kept).push_back(std::move(entries[i]));
    }
    open_.back()->get_ref<Object&>() = std::move(kept);
  }

  const std::string& source_;
  const JsonLimits& limits_;
  Json root_;
  std::vector<Json*> open_;
  std::size_t values_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& source, const JsonLimits& limits) {
  Builder builder(source, limits);
  Json::sax_parse(text, &builder);
  return builder.take();
}

}  // namespace lithe

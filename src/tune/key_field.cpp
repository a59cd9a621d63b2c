#include "tune/key_field.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/home.h"
#include "base/lower_case.h"
#include "base/printable.h"
#include "base/suggestion.h"
#include "base/trim.h"

namespace lithe::tune {
namespace {

std::string shown(const Yaml& value) {
  switch (value.kind) {
    case Yaml::Kind::null:
      return "empty";
    case Yaml::Kind::list:
      return "a list";
    case Yaml::Kind::map:
      return "a block of keys";
    case Yaml::Kind::text:
      break;
  }
  return in_quotes(value.text);
}

template <class Number>
std::optional<Number> parsed(const Yaml& value) {
  Number number{};
  const char* const end = value.text.data() + value.text.size();
  const auto [rest, fault] = std::from_chars(value.text.data(), end, number);
  const bool good = value.kind == Yaml::Kind::text && fault == std::errc() && rest == end;
  return good ? std::optional(number) : std::nullopt;
}

/// The end of a sentence about an unknown key: the same key elsewhere, the nearest one here, or where to look.
std::string what_was_meant(const std::string& name, const std::vector<std::string>& here,
                           const std::vector<KeyHelp>& all) {
  for (const KeyHelp& key : all) {
    const std::size_t dot = key.name.rfind('.');
    const std::string last = dot == std::string::npos ? key.name : key.name.substr(dot + 1);
    const bool same = last == name || std::find(key.aliases.begin(), key.aliases.end(), name) != key.aliases.end();
    if (same && dot != std::string::npos) return concat("; it belongs into ", key.name.substr(0, dot), ".");
    if (same) return "; it belongs to the top of the recipe.";
  }
  if (const std::string meant = closest_name(name, here); !meant.empty()) return concat("; did you mean ", meant, "?");
  return "; `lithe help recipe` lists the keys.";
}

}  // namespace

std::string text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_number_float()) return json_text(value);
  const double number = value.get<double>();
  return number == std::trunc(number) && std::abs(number) < 1e9 ? std::to_string(static_cast<int64_t>(number))
                                                                : value.dump();
}

std::string line_in(const std::string& source, int64_t line) {
  return concat(source, ", line ", line, ": ");
}

Place Place::at(const std::string& name, int64_t at_line) const {
  return {reading, key.empty() ? name : key + "." + name, at_line};
}

void Place::refuse(const Yaml& value, const std::string& right) const {
  // The value of a key that is the recipe itself has no name.
  const std::string subject = key.empty() ? "the recipe" : printable(key);
  fail(Fault::bad_file, line_in(reading->source, line), subject, " is ", shown(value), "; give ", right, ".");
}

std::string accepted(const WholeRange& range) {
  std::string text = concat("a whole number from ", range.low);
  if (range.high < WholeRange{}.high) text += concat(" to ", range.high);
  if (range.absent) text += concat(", or ", *range.absent);
  return text;
}

std::string accepted(const NumberRange& range) {
  return concat("a number ", range.above_low ? "above " : "from ", text_of(range.low),
                range.below_high  ? " and below "
                : range.above_low ? ", at most "
                                  : " to ",
                text_of(range.high));
}

int64_t whole(const Yaml& value, const WholeRange& range, const Place& place) {
  const std::optional<int64_t> number = parsed<int64_t>(value);
  if (!number || ((*number < range.low || *number > range.high) && number != range.absent))
    place.refuse(value, accepted(range));
  return *number;
}

double number(const Yaml& value, const NumberRange& range, const Place& place) {
  const std::optional<double> number = parsed<double>(value);
  const bool good = number && std::isfinite(*number) && *number >= range.low && *number <= range.high &&
                    (*number > range.low || !range.above_low) && (*number < range.high || !range.below_high);
  if (!good) place.refuse(value, accepted(range));
  return *number;
}

bool boolean(const Yaml& value, const Place& place) {
  const std::string word = value.kind == Yaml::Kind::text ? in_lower_case(value.text) : "";
  if (word == "true" || word == "yes" || word == "on") return true;
  if (word != "false" && word != "no" && word != "off") place.refuse(value, "true or false");
  return false;
}

std::string text(const Yaml& value, const Place& place) {
  const bool good = value.kind == Yaml::Kind::text && !value.text.empty() && value.text.find('\0') == std::string::npos;
  if (!good) place.refuse(value, "a text");
  return value.text;
}

std::string path(const Yaml& value, const Place& place) {
  return below_home(text(value, place));
}

std::vector<std::string> words(const Yaml& value, const Place& place) {
  std::vector<std::string> words;
  if (value.kind == Yaml::Kind::list) {
    for (const Yaml& item : value.items) words.push_back(text(item, place));
    return words;
  }
  const std::string all = value.kind == Yaml::Kind::text && value.text.empty() ? "" : text(value, place);
  for (std::size_t start = 0; start < all.size();) {
    const std::size_t end = std::min(all.find(',', start), all.size());
    if (std::string word = trimmed(std::string_view(all).substr(start, end - start), " \t"); !word.empty())
      words.push_back(std::move(word));
    start = end + 1;
  }
  return words;
}

std::map<std::string, std::string> names(const Yaml& value, const std::vector<std::string>& keys, const Place& place) {
  if (value.kind != Yaml::Kind::map) place.refuse(value, "keys with names");
  std::vector<std::vector<std::string>> known;
  for (const std::string& key : keys) known.push_back({key});
  std::map<std::string, std::string> names;
  for (const YamlEntry& entry : value.entries) {
    const Place here = place.at(entry.key, entry.line);
    find_key(entry.key, known, here);
    names[entry.key] = text(entry.value, here);
  }
  return names;
}

std::size_t find_key(const std::string& name, const std::vector<std::vector<std::string>>& known, const Place& place) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (std::find(known[i].begin(), known[i].end(), name) != known[i].end()) return i;
    all.insert(all.end(), known[i].begin(), known[i].end());
  }
  const std::string block =
      place.key.size() > name.size() ? place.key.substr(0, place.key.size() - name.size() - 1) : "";
  fail(Fault::bad_file, line_in(place.reading->source, place.line), block.empty() ? "a recipe" : printable(block),
       " has no key ", in_quotes(name), what_was_meant(name, all, place.reading->all));
}

}  // namespace lithe::tune

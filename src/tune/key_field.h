#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "tune/yaml.h"

/// How the keys of a recipe's table read their values. A block is the struct whose members the keys set.
namespace lithe::tune {

/// What a key of a recipe is called, takes and means.
struct KeyHelp {
  std::string name;  ///< With its blocks: "eas.search.draws"; "data[].path" in a list.
  std::string accepted, fallback, doc;
  std::vector<std::string> aliases;
};

/// A recipe while it is read.
struct Reading {
  std::string source;
  std::map<std::string, int64_t> given;  ///< Lines of the keys so far.
  std::vector<KeyHelp> all;              ///< For the right place of a key that stands in a wrong one.
};

/// Where a value stands in a recipe.
struct Place {
  Reading* reading;
  std::string key;  ///< With its blocks: "eas.search.draws".
  int64_t line = 1;

  Place at(const std::string& name, int64_t line) const;
  /// Throws Error{bad_file}: the line, the key, what was found, what is right.
  [[noreturn]] void refuse(const Yaml& value, const std::string& accepted) const;
};

/// "FILE, line 12: "
std::string line_in(const std::string& source, int64_t line);

struct WholeRange {
  int64_t low = 0, high = 1'000'000'000;
  std::optional<int64_t> absent;  ///< Another number, which reads as if the key were not there: -1 of max_steps.
};

struct NumberRange {
  double low = 0, high = 1;
  bool above_low = false, below_high = false;
};

std::string accepted(const WholeRange& range);
std::string accepted(const NumberRange& range);

/// The value as a type. Each throws Error{bad_file} through `place`.
int64_t whole(const Yaml& value, const WholeRange& range, const Place& place);
double number(const Yaml& value, const NumberRange& range, const Place& place);
bool boolean(const Yaml& value, const Place& place);
std::string text(const Yaml& value, const Place& place);
/// A text that names a file or a folder: "~/" is the home folder, as no shell sees a recipe.
std::string path(const Yaml& value, const Place& place);
/// A list of texts, or one text with commas.
std::vector<std::string> words(const Yaml& value, const Place& place);
/// A map of texts whose keys are among `keys`.
std::map<std::string, std::string> names(const Yaml& value, const std::vector<std::string>& keys, const Place& place);

template <class Block>
struct Field {
  std::string accepted;  ///< What is right, for messages and the reference: "a whole number from 1".
  std::string fallback;  ///< If it is not given; empty: what a fresh Block holds.
  std::function<void(Block&, const Yaml&, const Place&)> read;
  std::function<Json(const Block&)> shown;  ///< Null: not to be written, as it was not given or says nothing here.
  std::function<std::vector<KeyHelp>(const std::string& name)> help;  ///< Of the keys inside.
  bool takes_null = true;                                             ///< As "not given".
};

template <class Block>
struct Key {
  std::string name;
  Field<Block> field;
  std::string doc;
  std::vector<std::string> aliases;
};

template <class Block>
using Keys = std::vector<Key<Block>>;

/// The key of `name`'s table that the text names; throws Error{bad_file} for one that is not there, with the nearest.
std::size_t find_key(const std::string& name, const std::vector<std::vector<std::string>>& known, const Place& place);

template <class Block>
void read_block(Block& block, const Yaml& yaml, const Keys<Block>& keys, const Place& place) {
  if (yaml.kind != Yaml::Kind::map) place.refuse(yaml, "keys with values");
  std::vector<std::vector<std::string>> known;
  for (const Key<Block>& key : keys) {
    known.push_back({key.name});
    known.back().insert(known.back().end(), key.aliases.begin(), key.aliases.end());
  }
  for (const YamlEntry& entry : yaml.entries) {
    const Place here = place.at(entry.key, entry.line);
    const Key<Block>& key = keys[find_key(entry.key, known, here)];
    const Place there = place.at(key.name, entry.line);
    if (const auto [same, is_new] = place.reading->given.try_emplace(there.key, entry.line); !is_new)
      there.refuse(entry.value, "this key once: line " + std::to_string(same->second) + " has it too");
    if (entry.value.kind != Yaml::Kind::null || !key.field.takes_null)
      key.field.read(block, entry.value, there);
    else
      place.reading->given.erase(there.key);
  }
}

/// The values of a block as a recipe that reads the same.
template <class Block>
Json shown(const Block& block, const Keys<Block>& keys) {
  Json json = Json::object();
  for (const Key<Block>& key : keys)
    if (Json value = key.field.shown(block); !value.is_null()) json[key.name] = std::move(value);
  return json;
}

/// A value as a reader writes it: 3 for 3.0, no quotes.
std::string text_of(const Json& value);

/// The rows of a reference: each key, after it those inside it.
template <class Block>
std::vector<KeyHelp> help_of(const Keys<Block>& keys, const std::string& prefix) {
  std::vector<KeyHelp> rows;
  for (const Key<Block>& key : keys) {
    std::string fallback = key.field.fallback;
    if (fallback.empty()) fallback = text_of(key.field.shown(Block{}));
    rows.push_back({prefix + key.name, key.field.accepted, fallback, key.doc, key.aliases});
    if (!key.field.help) continue;
    const std::vector<KeyHelp> inside = key.field.help(prefix + key.name);
    rows.insert(rows.end(), inside.begin(), inside.end());
  }
  return rows;
}

/// The member of a block, and the field over it. `Member` is the type or an optional of it; an optional needs a
/// fallback.
template <class Block, class Value, class Read>
Field<Block> field(Value Block::*member, std::string accepted, std::string fallback, Read read) {
  return {
      .accepted = std::move(accepted),
      .fallback = std::move(fallback),
      .read = [member, read](Block& block, const Yaml& yaml, const Place& place) { block.*member = read(yaml, place); },
      .shown = [member](const Block& block) { return Json(block.*member); }};
}

template <class Block, class Value, class Read>
Field<Block> field(std::optional<Value> Block::*member, std::string accepted, std::string fallback, Read read) {
  return {
      .accepted = std::move(accepted),
      .fallback = std::move(fallback),
      .read = [member, read](Block& block, const Yaml& yaml, const Place& place) { block.*member = read(yaml, place); },
      .shown = [member](const Block& block) { return block.*member ? Json(*(block.*member)) : Json(); }};
}

template <class Block, class Value>
Field<Block> whole_field(Value Block::*member, const WholeRange& range, const std::string& fallback = {}) {
  return field(member, accepted(range), fallback,
               [range](const Yaml& yaml, const Place& place) { return whole(yaml, range, place); });
}

/// A whole number, or range.absent in place of no key.
template <class Block>
Field<Block> absent_or_whole_field(std::optional<int64_t> Block::*member, const WholeRange& range,
                                   const std::string& fallback) {
  Field<Block> result = whole_field(member, range, fallback);
  result.read = [member, range](Block& block, const Yaml& yaml, const Place& place) {
    const int64_t number = whole(yaml, range, place);
    if (number == range.absent)
      place.reading->given.erase(place.key);
    else
      block.*member = number;
  };
  return result;
}

template <class Block, class Value>
Field<Block> number_field(Value Block::*member, const NumberRange& range, const std::string& fallback = {}) {
  return field(member, accepted(range), fallback,
               [range](const Yaml& yaml, const Place& place) { return number(yaml, range, place); });
}

template <class Block, class Value>
Field<Block> text_field(Value Block::*member, const std::string& what, const std::string& fallback = {}) {
  return field(member, what, fallback, [](const Yaml& yaml, const Place& place) { return text(yaml, place); });
}

/// A text that is empty if it is not given.
template <class Block>
Field<Block> optional_text(std::string Block::*member, const std::string& what, const std::string& fallback) {
  Field<Block> result = text_field(member, what, fallback);
  result.shown = [member](const Block& block) { return (block.*member).empty() ? Json() : Json(block.*member); };
  return result;
}

/// The same for the name of a file or a folder.
template <class Block>
Field<Block> path_field(std::string Block::*member, const std::string& what, const std::string& fallback) {
  Field<Block> result = optional_text(member, what, fallback);
  result.read = [member](Block& block, const Yaml& yaml, const Place& place) { block.*member = path(yaml, place); };
  return result;
}

template <class Block, class Value>
Field<Block> words_field(Value Block::*member, const std::string& what, const std::string& fallback = {}) {
  return field(member, what, fallback, [](const Yaml& yaml, const Place& place) { return words(yaml, place); });
}

template <class Block>
Field<Block> flag_field(bool Block::*member) {
  return field(member, "true or false", "", [](const Yaml& yaml, const Place& place) { return boolean(yaml, place); });
}

/// One of a few words, each of which stands for a value.
template <class Block, class Value>
Field<Block> choice_field(Value Block::*member, const std::vector<std::pair<std::string, Value>>& choices,
                          const std::string& fallback = {}) {
  std::string accepted;
  for (std::size_t i = 0; i < choices.size(); ++i)
    accepted += (i == 0 ? "" : i + 1 == choices.size() ? " or " : ", ") + choices[i].first;
  const auto read = [choices, accepted](const Yaml& yaml, const Place& place) {
    for (const auto& [word, value] : choices)
      if (yaml.kind == Yaml::Kind::text && yaml.text == word) return value;
    place.refuse(yaml, accepted);
  };
  Field<Block> result{.accepted = accepted, .fallback = fallback};
  result.read = [member, read](Block& block, const Yaml& yaml, const Place& place) {
    block.*member = read(yaml, place);
  };
  result.shown = [member, choices](const Block& block) {
    for (const auto& [word, value] : choices)
      if (block.*member == value) return word.empty() ? Json() : Json(word);
    return Json();
  };
  return result;
}

/// A block that is there or not: {} or true asks for its defaults.
template <class Block, class Inner>
Field<Block> block_field(std::optional<Inner> Block::*member, const Keys<Inner>& keys) {
  Field<Block> result{.accepted = "the keys below, or {} for their defaults", .fallback = "left out"};
  result.takes_null = false;
  result.read = [member, keys](Block& block, const Yaml& yaml, const Place& place) {
    if (yaml.kind == Yaml::Kind::null) place.refuse(yaml, "its keys, or {} for their defaults");
    if (yaml.kind == Yaml::Kind::text && !boolean(yaml, place)) return;
    block.*member = Inner{};
    if (yaml.kind != Yaml::Kind::text) read_block(*(block.*member), yaml, keys, place);
  };
  result.shown = [member, keys](const Block& block) { return block.*member ? shown(*(block.*member), keys) : Json(); };
  result.help = [keys](const std::string& name) { return help_of(keys, name + "."); };
  return result;
}

}  // namespace lithe::tune

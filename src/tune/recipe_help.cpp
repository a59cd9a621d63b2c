#include <algorithm>
#include <string>

#include "tune/recipe_keys.h"

namespace lithe::tune {
namespace {

constexpr std::size_t kWidth = 100;

/// The part of a name before its last dot: the block that the key is in.
std::string block_of(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos ? "" : name.substr(0, dot);
}

std::string last_of(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos ? name : name.substr(dot + 1);
}

/// `text` in lines of bounded width, each after `indent`.
std::string wrapped(const std::string& text, const std::string& indent) {
  std::string out, line;
  const auto flush = [&] {
    if (!line.empty()) out += indent + line + "\n";
    line.clear();
  };
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find(' ', start), text.size());
    const std::string word = text.substr(start, end - start);
    if (!line.empty() && indent.size() + line.size() + 1 + word.size() > kWidth) flush();
    line += (line.empty() ? "" : " ") + word;
    start = end + 1;
  }
  flush();
  return out;
}

std::string also(const KeyHelp& key, const std::string& quote) {
  std::string names;
  for (const std::string& alias : key.aliases) names += (names.empty() ? "" : ", ") + quote + alias + quote;
  return names.empty() ? "" : " Also called " + names + ".";
}

/// The blocks in the order in which their first key comes; the top of the recipe first.
std::vector<std::string> blocks_of(const std::vector<KeyHelp>& keys) {
  std::vector<std::string> blocks;
  for (const KeyHelp& key : keys)
    if (const std::string block = block_of(key.name); std::find(blocks.begin(), blocks.end(), block) == blocks.end())
      blocks.push_back(block);
  return blocks;
}

template <class Each>
void for_each_in(const std::string& block, const std::vector<KeyHelp>& keys, const Each& each) {
  for (const KeyHelp& key : keys)
    if (block_of(key.name) == block) each(key);
}

}  // namespace

std::string recipe_help_text() {
  const std::vector<KeyHelp> keys = recipe_help();
  std::string out;
  for (const std::string& block : blocks_of(keys)) {
    out += block.empty() ? "Keys of a recipe:\n" : "\nKeys of " + block + ":\n";
    for_each_in(block, keys, [&](const KeyHelp& key) {
      const std::string fallback = key.fallback == "required" ? key.fallback : "default: " + key.fallback;
      out += "  " + last_of(key.name) + "  (" + key.accepted + "; " + fallback + ")\n";
      out += wrapped(key.doc + also(key, ""), "      ");
    });
  }
  return out;
}

std::string recipe_help_markdown() {
  const std::vector<KeyHelp> keys = recipe_help();
  std::string out;
  for (const std::string& block : blocks_of(keys)) {
    out += block.empty() ? "### Top of the recipe\n" : "\n### `" + block + "`\n";
    out += "\n| key | takes | default | meaning |\n|---|---|---|---|\n";
    for_each_in(block, keys, [&](const KeyHelp& key) {
      out += "| `" + last_of(key.name) + "` | " + key.accepted + " | " + key.fallback + " | " + key.doc +
             also(key, "`") + " |\n";
    });
  }
  return out;
}

}  // namespace lithe::tune

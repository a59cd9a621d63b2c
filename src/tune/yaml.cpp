#include "tune/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace lithe::tune {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{256} << 10;
constexpr std::size_t kMaxDepth = 12;
constexpr std::size_t kMaxValues = 20'000;

/// Builds the tree while the text is read, so that a fault ends the reading at once.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(const std::string& source) : source_(source) {}

  Yaml take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { add({.line = line_of(mark)}); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { refuse_sharing(mark); }
  void OnAnchor(const YAML::Mark& mark, const std::string&) override { refuse_sharing(mark); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    refuse_tag(mark, tag);
    if (!open_.empty() && open_.back().node.kind == Yaml::Kind::map && !open_.back().has_key)
      add_key(mark, value);
    else
      add({.kind = Yaml::Kind::text, .text = value, .line = line_of(mark)});
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, Yaml::Kind::list);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(mark, tag, Yaml::Kind::map);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    Yaml node;
    bool has_key = false;  ///< The next value belongs to the last entry.
  };

  static int64_t line_of(const YAML::Mark& mark) { return mark.line + 1; }

  template <class... Parts>
  [[noreturn]] void refuse(int64_t line, const Parts&... parts) const {
    fail(Fault::bad_file, source_, ", line ", line, ": ", parts...);
  }

  void refuse_sharing(const YAML::Mark& mark) const {
    refuse(line_of(mark), "anchors (&) and aliases (*) are not read; write the value out.");
  }

  void refuse_tag(const YAML::Mark& mark, const std::string& tag) const {
    if (tag.empty() || tag == "?" || tag == "!") return;  // "!" is how the parser marks a quoted scalar
    refuse(line_of(mark), "the tag ", in_quotes(tag), " is not read; leave it out.");
  }

  void add_key(const YAML::Mark& mark, const std::string& key) {
    std::vector<YamlEntry>& entries = open_.back().node.entries;
    const auto same = std::find_if(entries.begin(), entries.end(), [&](const YamlEntry& e) { return e.key == key; });
    if (same != entries.end())
      refuse(line_of(mark), "the key ", in_quotes(key), " is already in line ", same->line, "; leave one of them out.");
    count(line_of(mark));
    entries.push_back({.key = key, .line = line_of(mark)});
    open_.back().has_key = true;
  }

  void open(const YAML::Mark& mark, const std::string& tag, Yaml::Kind kind) {
    refuse_tag(mark, tag);
    if (open_.size() >= kMaxDepth) refuse(line_of(mark), "values are nested more than ", kMaxDepth, " levels deep.");
    open_.push_back({.node = {.kind = kind, .line = line_of(mark)}});
  }

  void close() {
    Yaml node = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(node));
  }

  void add(Yaml node) {
    count(node.line);
    if (open_.empty()) {
      root_ = std::move(node);
    } else if (Open& parent = open_.back(); parent.node.kind == Yaml::Kind::list) {
      parent.node.items.push_back(std::move(node));
    } else if (parent.has_key) {
      parent.node.entries.back().value = std::move(node);
      parent.has_key = false;
    } else {
      refuse(node.line, "expected the name of a key.");
    }
  }

  void count(int64_t line) {
    if (++values_ > kMaxValues) refuse(line, "there are more than ", kMaxValues, " values.");
  }

  const std::string& source_;
  Yaml root_;
  std::vector<Open> open_;
  std::size_t values_ = 0;
};

}  // namespace

Yaml parse_yaml(std::string_view text, const std::string& source) {
  require(text.size() <= kMaxBytes, Fault::bad_file, source, ": has ", text.size(), " bytes; a recipe of more than ",
          kMaxBytes, " is not read.");
  std::istringstream in{std::string(text)};
  Builder builder(source);
  try {
    YAML::Parser parser(in);
    parser.HandleNextDocument(builder);
    require(!parser, Fault::bad_file, source, ": holds more than one document (---); leave one.");
  } catch (const YAML::Exception& error) {
    fail(Fault::bad_file, source, ", line ", error.mark.line + 1, ": ", error.msg, ".");
  }
  return builder.take();
}

}  // namespace lithe::tune

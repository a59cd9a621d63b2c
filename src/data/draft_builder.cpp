#include "data/draft_builder.h"

#include <algorithm>

#include "base/error.h"
#include "base/printable.h"

namespace lithe::data {
namespace {

constexpr std::string_view kMark = "<image>";

int64_t marks_in(std::string_view text) {
  int64_t count = 0;
  for (std::size_t at = 0; (at = text.find(kMark, at)) != text.npos; at += kMark.size()) ++count;
  return count;
}

const Json* value_of(const Json& part, const char* key) {
  const auto found = part.find(key);
  return found == part.end() || found->is_null() ? nullptr : &*found;
}

/// The picture that a part brings itself; absent if it only marks a place.
std::optional<Json> picture_of(const Json& part) {
  for (const char* key : {"image", "image_url", "url", "path"}) {
    const Json* value = value_of(part, key);
    if (value == nullptr) continue;
    const Json* url = value->is_object() ? value_of(*value, "url") : nullptr;
    return url == nullptr ? *value : *url;
  }
  return std::nullopt;
}

std::vector<Json> list_of(const Json* pictures) {
  if (pictures == nullptr || *pictures == "") return {};
  if (pictures->is_array()) return {pictures->begin(), pictures->end()};
  return {*pictures};
}

}  // namespace

void DraftBuilder::add_part(const Json& part, std::string& text) {
  if (part.is_string()) {
    text += part.get_ref<const std::string&>();
    return;
  }
  const Json* type = part.is_object() ? value_of(part, "type") : nullptr;
  require(type != nullptr && type->is_string(), Fault::bad_file, "a part of a message's content has no \"type\"");
  const auto& kind = type->get_ref<const std::string&>();
  if (kind == "text") {
    const Json* value = value_of(part, "text");
    require(value != nullptr && value->is_string(), Fault::bad_file, "a part of type \"text\" has no text");
    // A picture stands on a line of its own, as in a chat.
    if (text.ends_with(kMark) && !value->get_ref<const std::string&>().starts_with('\n')) text += '\n';
    text += value->get_ref<const std::string&>();
    return;
  }
  require(kind == "image" || kind == "image_url", Fault::bad_file, "a part of a message's content is of type ",
          in_quotes(kind), "; only \"text\", \"image\" and \"image_url\" are read");
  text += kMark;
}

void DraftBuilder::add(std::string role, const Json& content) {
  std::string text;
  if (content.is_array()) {
    for (const Json& part : content) {
      const auto before = marks_in(text);
      add_part(part, text);
      const bool brings = part.is_object() && part.value("type", "") != "text";
      if (brings)
        marks_.push_back(picture_of(part));
      else
        marks_.resize(marks_.size() + static_cast<std::size_t>(marks_in(text) - before));
    }
  } else {
    require(content.is_string(), Fault::bad_file, "the text of a message is ", content.type_name(),
            ", not a string or a list of parts");
    text = content.get<std::string>();
    marks_.resize(marks_.size() + static_cast<std::size_t>(marks_in(text)));
  }
  turns_.push_back({std::move(role), std::move(text)});
}

void DraftBuilder::add_system(const std::string& text) {
  if (text.empty() || (!turns_.empty() && turns_.front().role == "system")) return;
  turns_.insert(turns_.begin(), {"system", text});
}

Draft DraftBuilder::take(const Json* pictures) {
  require(!turns_.empty(), Fault::bad_file, "the conversation is empty");
  const std::vector<Json> given = list_of(pictures);
  if (marks_.empty() && !given.empty()) {
    const auto user = std::find_if(turns_.begin(), turns_.end(), [](const Turn& turn) { return turn.role == "user"; });
    require(user != turns_.end(), Fault::bad_file, "it has pictures, but no question of a user to put them in");
    std::string marks;
    for (std::size_t i = 0; i < given.size(); ++i) marks.append(kMark).append(i + 1 < given.size() ? " " : "\n");
    user->text.insert(0, marks);
    marks_.resize(given.size());
  }
  const auto open = std::count_if(marks_.begin(), marks_.end(), [](const auto& mark) { return !mark; });
  require(open == static_cast<int64_t>(given.size()), Fault::bad_file, "the number of <image> marks in its text (",
          open, ") is not that of its pictures (", given.size(), ")");
  Draft draft{std::move(turns_), {}};
  auto next = given.begin();
  for (std::optional<Json>& mark : marks_) draft.pictures.push_back(mark ? std::move(*mark) : *next++);
  return draft;
}

}  // namespace lithe::data

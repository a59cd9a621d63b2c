#include "data/dialect.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/printable.h"
#include "data/draft_builder.h"
#include "data/needed.h"

namespace lithe::data {
namespace {

constexpr std::size_t kMaxKeys = 16;  // of a message

/// A name of LLaMA-Factory, and what columns or tags it stands for if it is not given.
struct Name {
  const char* name;
  std::vector<std::string> defaults;
};

const std::vector<Name>& column_names() {
  static const std::vector<Name> names{
      {"messages", {"conversations", "messages", "texts"}},
      {"images", {"image", "images"}},
      {"system", {"system"}},
      {"prompt", {"instruction", "question"}},
      {"query", {"input"}},
      {"response", {"output", "answer"}},
      {"history", {"history"}},
  };
  return names;
}

const std::vector<Name>& tag_names() {
  static const std::vector<Name> names{
      {"role_tag", {"from", "role"}},
      {"content_tag", {"value", "content"}},
      {"user_tag", {"human", "user"}},
      {"assistant_tag", {"gpt", "assistant"}},
      {"system_tag", {"system"}},
      {"observation_tag", {}},
      {"function_tag", {}},
  };
  return names;
}

/// What a name stands for: the given one alone, or its defaults.
std::vector<std::string> meanings(const std::vector<Name>& names, const Dialect::Names& given,
                                  const std::string& name) {
  if (const auto found = given.find(name); found != given.end()) return {found->second};
  return std::find_if(names.begin(), names.end(), [&](const Name& one) { return one.name == name; })->defaults;
}

void refuse_unknown(const std::vector<Name>& names, const Dialect::Names& given, const char* what) {
  for (const auto& [name, value] : given) {
    const bool known = std::any_of(names.begin(), names.end(), [&](const Name& one) { return one.name == name; });
    std::string list;
    for (const Name& one : names) list.append(list.empty() ? "" : ", ").append(one.name);
    require(known, Fault::bad_request, "There is no ", what, " ", in_quotes(name), " of a data set; there are: ", list,
            ".");
  }
}

std::string joined(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list.append(list.empty() ? "" : " or ").append(in_quotes(name));
  return list;
}

std::string text_in(const Json& value, const char* what) {
  require(value.is_string(), Fault::bad_file, "its ", what, " is ", value.type_name(), ", not a string");
  return value.get<std::string>();
}

/// {"user", "assistant"}: a question with its answer, as large hub sets (The Cauldron, FineVision) write them.
bool is_round(const Json& message) {
  return message.contains("user") && message.contains("assistant");
}

/// {"from": ["human", "gpt"], "value": [..]} as a list of messages: how a table stores a sequence of structures.
Json transposed(const Json& columns) {
  require(columns.size() <= kMaxKeys, Fault::bad_file, "the conversation is an object, not a list");
  Json rows = Json::array();
  for (const auto& [key, values] : columns.items()) {
    require(values.is_array() && (rows.empty() || rows.size() == values.size()), Fault::bad_file,
            "the conversation is an object whose values are not lists of one length");
    while (rows.size() < values.size()) rows.push_back(Json::object());
    for (std::size_t i = 0; i < values.size(); ++i) rows[i][key] = values[i];
  }
  return rows;
}

/// A conversation in any of its forms as a list of messages.
Json message_list(const Json& value) {
  if (value.is_string()) return message_list(parse_json(value.get_ref<const std::string&>(), "the conversation"));
  if (value.is_object()) return transposed(value);
  require(value.is_array(), Fault::bad_file, "the conversation is ", value.type_name(), ", not a list");
  return value;
}

}  // namespace

Dialect::Dialect(std::string formatting, Names columns, Names tags)
    : formatting_(std::move(formatting)), columns_(std::move(columns)), tags_(std::move(tags)) {
  require(formatting_.empty() || formatting_ == "sharegpt" || formatting_ == "alpaca", Fault::bad_request,
          "The formatting ", in_quotes(formatting_),
          " of a data set is unknown; there are \"sharegpt\" and \"alpaca\".");
  refuse_unknown(column_names(), columns_, "column");
  refuse_unknown(tag_names(), tags_, "tag");
}

std::vector<std::string> Dialect::wanted() const {
  std::vector<std::string> all{"id", kNeeded};
  for (const Name& name : column_names()) {
    for (std::string& column : meanings(column_names(), columns_, name.name)) all.push_back(std::move(column));
  }
  return all;
}

std::optional<std::string> Dialect::id_of(const Json& row) {
  const auto found = row.is_object() ? row.find("id") : row.end();
  if (found == row.end()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (found->is_number_integer()) return found->dump();
  return std::nullopt;
}

const Json* Dialect::column(const Json& row, const std::string& name) const {
  for (const std::string& key : meanings(column_names(), columns_, name)) {
    const auto found = row.find(key);
    if (found != row.end() && !found->is_null()) return &*found;
  }
  return nullptr;
}

std::string Dialect::tag(const Json& message, const std::string& name) const {
  const std::vector<std::string> keys = meanings(tag_names(), tags_, name);
  const auto key =
      std::find_if(keys.begin(), keys.end(), [&](const std::string& one) { return message.contains(one); });
  require(key != keys.end(), Fault::bad_file, "a message has no ", joined(keys));
  return *key;
}

std::string Dialect::role_of(const std::string& word) const {
  for (const char* role : {"user", "assistant", "system"}) {
    const std::vector<std::string> words = meanings(tag_names(), tags_, concat(role, "_tag"));
    if (std::find(words.begin(), words.end(), word) != words.end()) return role;
  }
  fail(Fault::bad_file, "a message is of role ", in_quotes(word), "; only system, user and assistant are read");
}

void Dialect::add_messages(const Json& messages, DraftBuilder& builder) const {
  for (const Json& message : message_list(messages)) {
    require(message.is_object(), Fault::bad_file, "a message is ", message.type_name(), ", not an object");
    if (is_round(message)) {
      builder.add("user", message["user"]);
      builder.add("assistant", message["assistant"]);
      continue;
    }
    const Json& role = message[tag(message, "role_tag")];
    builder.add(role_of(text_in(role, "message's role")), message[tag(message, "content_tag")]);
  }
}

/// LLaMA-Factory's "alpaca": earlier questions and answers, then the prompt, after it the query on a line of its own.
void Dialect::add_question(const Json& row, DraftBuilder& builder) const {
  if (const Json* history = column(row, "history")) {
    require(history->is_array(), Fault::bad_file, "its history is not a list");
    for (const Json& round : *history) {
      require(round.is_array() && round.size() == 2, Fault::bad_file,
              "its history holds something other than a list of a question and an answer");
      builder.add("user", round[0]);
      builder.add("assistant", round[1]);
    }
  }
  const Json* prompt = column(row, "prompt");
  const Json* query = column(row, "query");
  const Json* response = column(row, "response");
  require(prompt != nullptr && response != nullptr, Fault::bad_file, "it has no ",
          joined(meanings(column_names(), columns_, prompt == nullptr ? "prompt" : "response")));
  std::string question = text_in(*prompt, "question");
  const std::string more = query == nullptr ? "" : text_in(*query, "query");
  if (!more.empty()) question += (question.empty() ? "" : "\n") + more;
  builder.add("user", question);
  builder.add("assistant", text_in(*response, "answer"));
}

Draft Dialect::draft(const Json& row) const {
  require(row.is_object(), Fault::bad_file, "it is ", row.type_name(), ", not an object");
  DraftBuilder builder;
  const Json* messages = column(row, "messages");
  if (formatting_ != "alpaca" && (messages != nullptr || formatting_ == "sharegpt")) {
    require(messages != nullptr, Fault::bad_file, "it has no ", joined(meanings(column_names(), columns_, "messages")));
    add_messages(*messages, builder);
  } else {
    require(formatting_ == "alpaca" || column(row, "prompt") != nullptr, Fault::bad_file,
            "it has neither a conversation (", joined(meanings(column_names(), columns_, "messages")),
            ") nor a question (", joined(meanings(column_names(), columns_, "prompt")),
            "); if its columns have other names, give them");
    add_question(row, builder);
  }
  if (const Json* system = column(row, "system")) builder.add_system(text_in(*system, "system text"));
  return builder.take(column(row, "images"));
}

}  // namespace lithe::data

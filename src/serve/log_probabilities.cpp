#include "serve/log_probabilities.h"

#include <fmt/format.h>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "session/tokens.h"

namespace lithe::serve {
namespace {

/// A token as text; if its bytes alone are not text, as "\xe6\x97". `prefix`: before these.
std::string shown(const std::string& bytes, const char* prefix) {
  if (valid_utf8(bytes) == bytes) return bytes;
  std::string text = prefix;
  for (const char c : bytes) text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return text;
}

Json rated_token(const session::Session& session, const session::RatedToken& token) {
  const std::string bytes = session::bytes_of_token(session, token.id);
  Json numbers = Json::array();
  for (const char c : bytes) numbers.push_back(static_cast<unsigned char>(c));
  return {{"token", shown(bytes, "")}, {"logprob", token.log_probability}, {"bytes", std::move(numbers)}};
}

std::string name_of(const session::Session& session, int64_t id) {
  return shown(session::bytes_of_token(session, id), "bytes:");
}

/// The best tokens and the chosen one. Of two that look the same, the more likely one counts.
Json best_of(const session::Session& session, const session::TokenRating& token) {
  if (token.best.empty()) return nullptr;
  Json best = Json::object();
  const auto add = [&](const session::RatedToken& one) {
    const std::string name = name_of(session, one.id);
    if (!best.contains(name)) best[name] = one.log_probability;
  };
  for (const session::RatedToken& one : token.best) add(one);
  add(token.chosen);
  return best;
}

}  // namespace

Json rated_tokens(const session::Session& session, std::span<const session::TokenRating> tokens) {
  Json content = Json::array();
  for (const session::TokenRating& token : tokens) {
    Json entry = rated_token(session, token.chosen);
    Json& best = entry["top_logprobs"] = Json::array();
    for (const session::RatedToken& one : token.best) best.push_back(rated_token(session, one));
    content.push_back(std::move(entry));
  }
  return content;
}

Json chat_log_probabilities(const session::Session& session, std::span<const session::TokenRating> tokens) {
  return {{"content", rated_tokens(session, tokens)}, {"refusal", nullptr}};
}

Json completion_log_probabilities(const session::Session& session, std::span<const session::TokenRating> tokens) {
  Json names = Json::array(), ratings = Json::array(), best = Json::array(), offsets = Json::array();
  for (const session::TokenRating& token : tokens) {
    names.push_back(name_of(session, token.chosen.id));
    ratings.push_back(token.chosen.log_probability);
    best.push_back(best_of(session, token));
    offsets.push_back(token.text_offset);
  }
  const bool any = !best.empty() && !best.front().is_null();
  return {{"tokens", std::move(names)},
          {"token_logprobs", std::move(ratings)},
          {"top_logprobs", any ? std::move(best) : Json()},
          {"text_offset", std::move(offsets)}};
}

}  // namespace lithe::serve

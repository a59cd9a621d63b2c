#include "eval/chat_judge.h"

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "web/client.h"

namespace lithe::eval {
namespace {

constexpr const char* kRoute = "/chat/completions";

std::string place_of(std::string url) {
  web::check_url(url);
  while (url.ends_with('/')) url.pop_back();
  return url.ends_with(kRoute) ? url : url + kRoute;
}

/// The text of {"choices": [{"message": {"content": ".."}}]}.
std::optional<std::string> content_of(const Json& reply) {
  const Json::json_pointer place("/choices/0/message/content");
  if (!reply.contains(place) || !reply.at(place).is_string()) return std::nullopt;
  return reply.at(place).get<std::string>();
}

}  // namespace

const char* usual_judge(tasks::Protocol protocol) {
  return protocol == tasks::Protocol::today ? "gpt-4o-2024-11-20" : "gpt-3.5-turbo";
}

tasks::Judge judge_of(const ChatJudge& judge) {
  require(judge.key.find_first_of("\r\n") == judge.key.npos, Fault::bad_request,
          "The key of the judge has more than one line; give it as one line.");
  return [place = place_of(judge.url), judge](const std::string& prompt) -> std::optional<std::string> {
    const Json request = {{"model", judge.model},
                          {"messages", {{{"role", "user"}, {"content", prompt}}}},
                          {"temperature", 0},
                          {"max_tokens", 256},
                          {"n", 1}};
    const std::string json = json_text(request);
    const web::Reply reply = web::ask({.url = place, .json = json, .key = judge.key});
    require(reply.status == 200, Fault::bad_request, "The judge at ", in_quotes(judge.url), " refuses with status ",
            reply.status, "; check its address, the name of its model and its key: ", in_quotes(reply.body), ".");
    const auto content = content_of(Json::accept(reply.body) ? parse_json(reply.body, "the judge's reply") : Json());
    require(content.has_value(), Fault::bad_request, "The judge at ", in_quotes(judge.url),
            " gives no answer of a chat; give the address of a server like OpenAI's: ", in_quotes(reply.body), ".");
    return content;
  };
}

}  // namespace lithe::eval

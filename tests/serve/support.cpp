#include "serve/support.h"

#include <chrono>
#include <fstream>
#include <iterator>
#include <set>
#include <span>

#include "base/base64.h"
#include "session/request.h"

namespace lithe::serve {

const session::Session& demo() {
  static const session::Session session = session::Session::open(kModels / "easyvqa-pmod");
  return session;
}

Json without_cached(Json usage) {
  for (const char* key : {"prompt_tokens_details", "input_tokens_details"})
    if (usage.contains(key)) usage.at(key).erase("cached_tokens");
  return usage;
}

namespace {

ServerOptions on_free_port(ServerOptions options) {
  options.port = 0;
  if (options.model_names.empty()) options.model_names = {"demo"};
  if (!options.limits.bytes) options.limits.bytes = int64_t{1} << 30;
  return options;
}

}  // namespace

Running::Running(ServerOptions options)
    : server_(demo(), on_free_port(std::move(options))), thread_([this] { server_.run(); }) {}

Running::~Running() {
  server_.stop();
  join();
}

void Running::join() {
  if (thread_.joinable()) thread_.join();
}

double metric_of(uint16_t port, const std::string& name) {
  const std::string page = get(port, "/metrics").body;
  const std::size_t line = page.find("\n" + name + "{");
  if (line == std::string::npos) return -1;
  return std::stod(page.substr(page.find("} ", line) + 2));
}

bool reaches(uint16_t port, const std::string& name, double value) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (metric_of(port, name) != value) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

std::vector<Shipped> shipped_questions(std::size_t count) {
  std::ifstream in(kModels / "answers.jsonl");
  std::set<std::string> seen;
  std::vector<Shipped> questions;
  for (std::string line; questions.size() < count && std::getline(in, line);) {
    const Json json = parse_json(line, "answers.jsonl");
    if (seen.insert(json.at("image")).second) questions.push_back({json.at("image"), json.at("question")});
  }
  return questions;
}

std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string base64_of(const std::string& bytes) {
  return encode_base64(std::as_bytes(std::span(bytes)));
}

std::string data_url(const std::filesystem::path& file) {
  return "data:image/png;base64," + base64_of(contents(file));
}

Json chat_body(const std::string& text, const std::vector<std::string>& urls) {
  Json parts = Json::array();
  for (const std::string& url : urls) parts.push_back({{"type", "image_url"}, {"image_url", {{"url", url}}}});
  parts.push_back({{"type", "text"}, {"text", text}});
  Json message;
  message["role"] = "user";
  message["content"] = std::move(parts);
  Json body;
  body["model"] = "demo";
  body["messages"] = Json::array({std::move(message)});
  body["return_token_ids"] = true;
  return body;
}

Json chat_body(const Shipped& shipped) {
  return chat_body(shipped.question, {data_url(kModels / shipped.image)});
}

session::Answer alone(const Shipped& shipped, const session::AnswerOptions& options,
                      const std::optional<std::string>& plan) {
  session::RequestBuilder builder(demo());
  session::Question question;
  question.prompt = shipped.question;
  question.pictures = {kModels / shipped.image};
  question.plan = plan;
  return demo().answer(builder.request(std::move(question)), options);
}

Json long_body(bool stream) {
  Json body = chat_body("tell me everything");
  body["ignore_eos"] = true;
  body["max_tokens"] = 1500;
  body["stream"] = stream;
  return body;
}

}  // namespace lithe::serve

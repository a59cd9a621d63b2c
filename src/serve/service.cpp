#include "serve/service.h"

#include <fmt/format.h>
#include <algorithm>
#include <ctime>
#include <random>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/lower_case.h"
#include "base/mixed.h"
#include "base/printable.h"
#include "base/trim.h"
#include "plan/cost.h"
#include "serve/answer_json.h"
#include "serve/api_key.h"
#include "serve/completions_form.h"
#include "serve/fields.h"
#include "serve/page_files.h"
#include "serve/percents.h"
#include "serve/picture_fetcher.h"
#include "serve/responses_form.h"
#include "session/errors.h"
#include "session/memory.h"
#include "session/tokens.h"

namespace lithe::serve {
namespace {

constexpr uint64_t kMostCallBytes = uint64_t{64} << 20;  // pictures lie in it as base64
constexpr uint64_t kMostTextBytes = uint64_t{8} << 20;
constexpr uint64_t kMostLoraBytes = uint64_t{64} << 10;

using Kind = Route::Kind;

constexpr Route kRoutes[] = {
    {Kind::health, "GET", "/health", 0, false},
    {Kind::ready, "GET", "/ready", 0, false},
    {Kind::metrics, "GET", "/metrics", 0, false},
    {Kind::models, "GET", "/v1/models", 0, true},
    {Kind::model, "GET", "/v1/models/", 0, true},
    {Kind::chat, "POST", "/v1/chat/completions", kMostCallBytes, true},
    {Kind::completion, "POST", "/v1/completions", kMostTextBytes, true},
    {Kind::response, "POST", "/v1/responses", kMostCallBytes, true},
    {Kind::input_tokens, "POST", "/v1/responses/input_tokens", kMostCallBytes, true},
    {Kind::tokenize, "POST", "/tokenize", kMostTextBytes, true},
    {Kind::detokenize, "POST", "/detokenize", kMostTextBytes, true},
    {Kind::load_lora, "POST", "/v1/load_lora_adapter", kMostLoraBytes, true},
    {Kind::unload_lora, "POST", "/v1/unload_lora_adapter", kMostLoraBytes, true},
};

ServerOptions completed(ServerOptions options, const session::Session& session) {
  if (options.model_names.empty()) options.model_names = {session.facts().name};
  if (!options.limits.bytes) options.limits.bytes = session::memory_available() / 2;
  const int64_t bytes = *options.limits.bytes;
  options.limits.prefix_cache_bytes = options.prefix_cache_bytes.value_or(bytes / 2);
  options.limits.picture_cache_bytes = options.picture_cache_bytes.value_or(bytes / 8);
  options.image_root = folder_of_pictures(options);
  options.lora_root = folder_of_loras(options);
  return options;
}

EngineLimits limits_of(const ServerOptions& options) {
  return {.max_queue = options.max_queue, .request = options.request};
}

const std::vector<Route>& routes_of_page() {
  static const std::vector<Route> routes = [] {
    std::vector<Route> all;
    for (const PageFile& file : page_files())
      all.push_back({.kind = Kind::page, .method = "GET", .path = file.path, .body_bytes = 0, .needs_key = false});
    return all;
  }();
  return routes;
}

std::string_view path_of(const RequestHead& head) {
  return std::string_view(head.target).substr(0, head.target.find('?'));
}

const Route& route_of_path(const RequestHead& head, bool page) {
  const std::string_view path = path_of(head);
  const auto is_it = [&](const Route& route) {
    return path == route.path || (route.kind == Kind::model && path.starts_with(route.path));
  };
  const auto* const found = std::find_if(std::begin(kRoutes), std::end(kRoutes), is_it);
  const auto of_page = std::find_if(routes_of_page().begin(), routes_of_page().end(), is_it);
  if (page && of_page != routes_of_page().end()) return *of_page;
  if (found == std::end(kRoutes))
    throw Refusal(404, concat("There is nothing at ", in_quotes(path), "; docs/serve.md lists the paths."), {},
                  "not_found");
  return *found;
}

bool is_json(const std::string& content_type) {
  return trimmed(in_lower_case(content_type.substr(0, content_type.find(';')))) == "application/json";
}

/// Runs what reads a prompt. If the prompt can't be read, its field is to blame.
template <class Work>
auto blaming_prompt(const std::string& field, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (session::says_too_long(std::current_exception()))
      throw Refusal(400, error.what(), field, "context_length_exceeded");
    if (error.fault() == Fault::bad_file) throw Error(Fault::internal, error.what());  // the model's, not the caller's
    if (error.fault() == Fault::bad_request) blame_field(error, field);
    throw;
  }
}

std::shared_ptr<const session::ReadPrompt> read_raw(const session::Session& session, session::Request& request,
                                                    RawPrompt& prompt) {
  if (auto* const ids = std::get_if<std::vector<int64_t>>(&prompt))
    return session::read_prompt(session, request, std::move(*ids));
  request.text = std::move(std::get<std::string>(prompt));
  return session::read_prompt(session, request);
}

}  // namespace

std::filesystem::path folder_of_pictures(const ServerOptions& options) {
  if (options.image_root.empty()) return {};
  std::error_code failed;
  std::filesystem::path root = std::filesystem::canonical(options.image_root, failed);
  require(!failed && std::filesystem::is_directory(root, failed), Fault::bad_request, "--image-root ",
          in_quotes(options.image_root.string()), " is not a folder; give the folder whose pictures may be used.");
  return root;
}

uint64_t longest_body() {
  return kMostCallBytes;
}

Service::Service(const session::Session& session, const ServerOptions& options)
    : options_(completed(options, session)),
      names_(options_),
      session_(session),
      formats_(session),
      loras_(session, options_),
      rules_{.session = session,
             .model_names = options_.model_names,
             .image_root = options_.image_root,
             .remote_pictures = options_.fetcher != nullptr,
             .most_answers = std::min(kMostAnswers, options_.limits.sequences),
             .most_prompts = std::min(kMostChoices,
                                      options_.limits.sequences + options_.max_queue - limits_of(options_).kept_free()),
             .formats = formats_,
             .loras = &loras_},
      kv_token_bytes_(
          plan::cost({}, session.facts(), {.text_tokens = 1, .tiles = 0}, session.counting()).dense.kv_bytes),
      metrics_(metric_facts()),
      engine_(session, options_.limits, limits_of(options_), metrics_),
      started_(std::time(nullptr)) {}

MetricFacts Service::metric_facts() const {
  const int64_t tokens = session::tokens_of_block();
  return {.most_loras = loras_.on() ? loras_.most() : 0,
          .block_tokens = tokens,
          .blocks = *options_.limits.bytes / std::max<int64_t>(1, tokens * kv_token_bytes_)};
}

const Route& Service::route(const RequestHead& head) const {
  if (head.host && !names_.hold(*head.host))
    throw Refusal(403,
                  concat("The request is for ", in_quotes(*head.host),
                         ", which is not a name of this server; ask localhost or an address, or start the server with "
                         "--allowed-host NAME."),
                  {}, "host_not_allowed");
  const Route& route = route_of_path(head, options_.page);
  const bool is_got = route.method == std::string_view("GET");
  if (head.method != route.method && !(is_got && head.method == "HEAD"))
    throw Refusal(405, concat(route.path, " takes ", route.method, ", not ", printable(head.method), "."), {},
                  "method_not_allowed")
        .with(concat("Allow: ", route.method, is_got ? ", HEAD" : "", "\r\n"));
  const std::vector<std::string>& keys = options_.api_keys;
  if (route.needs_key && !keys.empty() && !key_of(head.authorization, keys))
    throw Refusal(401, "The API key is missing or wrong; send the header \"Authorization: Bearer KEY\".", {},
                  "invalid_api_key")
        .with("WWW-Authenticate: Bearer\r\n");
  if (route.body_bytes > 0 && !is_json(head.content_type))
    throw Refusal(415, "The body must be JSON; send the header \"Content-Type: application/json\".", {},
                  "unsupported_media_type");
  if (route.body_bytes > 0 && !head.content_encoding.empty() && in_lower_case(head.content_encoding) != "identity")
    throw Refusal(415, "The body must not be compressed; leave out the header Content-Encoding.", {},
                  "unsupported_content_encoding")
        .with("Accept-Encoding: identity\r\n");
  return route;
}

Response Service::page(const Route& route, const RequestHead& head) const {
  switch (route.kind) {
    case Kind::page:
      return page_reply(route.path, head.known);
    case Kind::ready:
      if (engine_.stopping()) return json_response({{"status", "stopping"}}, 503);
      return json_response({{"status", "ready"}});
    case Kind::metrics:
      return {.type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_.text(model_name())};
    case Kind::models:
      return json_response({{"object", "list"}, {"data", model_cards()}});
    case Kind::model:
      return json_response(model_card(head, route));
    default:
      return json_response({{"status", "ok"}});
  }
}

/// vLLM's: a LoRA has a "parent".
Json Service::model_cards() const {
  Json list = Json::array();
  const auto add = [&](const std::string& name, int64_t created, const Json& parent) {
    list.push_back({{"id", name},
                    {"object", "model"},
                    {"created", created},
                    {"owned_by", "lithe"},
                    {"parent", parent},
                    {"max_model_len", session::longest_sequence(session_)}});
  };
  for (const std::string& name : rules_.model_names) add(name, started_, nullptr);
  for (const Loras::Card& card : loras_.cards()) add(card.name, card.created, model_name());
  return list;
}

/// Of the name after the route's path.
Json Service::model_card(const RequestHead& head, const Route& route) const {
  const std::string name = without_percents(path_of(head).substr(std::string_view(route.path).size()));
  for (const Json& card : model_cards()) {
    if (card.at("id") == name) return card;
  }
  throw Refusal(404, concat("There is no model ", in_quotes(name), " here; /v1/models lists the models."), "model",
                "model_not_found");
}

Service::LoraChange Service::change_loras(const Route& route, const std::string& text) {
  const Json body = read_body(text);
  LoraChange change;
  change.reply.type = "text/plain; charset=utf-8";
  if (route.kind == Kind::load_lora) {
    change.reply.body = concat("Success: LoRA adapter '", loras_.load(body), "' added successfully.");
  } else {
    change.left = loras_.unload(body);
    change.reply.body =
        concat("Success: LoRA adapter '", body.at("lora_name").get<std::string>(), "' removed successfully.");
  }
  return change;
}

Response Service::tokens(const Route& route, const std::string& text) const {
  const Json json = read_body(text);
  const Fields body(json);
  if (route.kind == Kind::input_tokens) {
    const Call call = read_response_call(json, rules_, 0);
    if (!call.remote.empty())
      throw Refusal(400, "The tokens of a remote picture can't be counted; send the picture as a data: URL.",
                    call.remote.front().field);
    const int64_t tokens =
        blaming_prompt(call.prompt_field(), [&] { return session::prompt_tokens(session_, call.request); });
    return json_response({{"object", "response.input_tokens"}, {"input_tokens", tokens}});
  }
  if (route.kind == Kind::detokenize) {
    return json_response({{"prompt", session::text_of(session_, read_token_ids(body.needed("tokens"), "tokens"))}});
  }
  const std::string prompt = body.has("content") ? body.needed_text("content") : body.needed_text("prompt");
  const bool special = body.boolean("add_special_tokens").value_or(true);
  const std::vector<int64_t> ids = session::token_ids(session_, prompt, special);
  return json_response(
      {{"count", ids.size()}, {"max_model_len", session::longest_sequence(session_)}, {"tokens", ids}});
}

Call Service::read_call(const Route& route, const std::string& text, uint64_t seed) const {
  const Json body = read_body(text);
  Call call = route.kind == Kind::response ? read_response_call(body, rules_, seed)
              : route.kind == Kind::chat   ? read_chat_call(body, rules_, seed)
                                           : read_completion_call(body, rules_, seed);
  if (call.remote.empty()) read_prompts(call);
  return call;
}

void Service::fetch_pictures(Call& call, const FetchWatch& watch) const {
  options_.fetcher->fetch(call, session_.decode_options(), watch);
  read_prompts(call);
}

/// Here and not when the request's turn comes: the thread that owns the model has no time for it.
void Service::read_prompts(Call& call) const {
  try {
    session::check_plan(session_, call.request);
  } catch (const Error& error) {
    blame_field(error, "plan");
  }
  const auto add = [&call](const std::string& field, const auto& read) {
    call.prompts.push_back(blaming_prompt(field, read));
  };
  if (call.raw.empty()) add(call.prompt_field(), [&] { return session::read_prompt(session_, call.request); });
  for (std::size_t i = 0; i < call.raw.size(); ++i)
    add(call.prompt_field(i), [&] { return read_raw(session_, call.request, call.raw[i]); });
  call.request.text.clear();
}

std::string Service::caller_of(const RequestHead& head, const std::string& address) const {
  if (options_.api_keys.size() < 2) return address;
  const std::optional<std::size_t> key = key_of(head.authorization, options_.api_keys);
  return key ? concat("key ", *key) : address;
}

bool Service::submit(Call& call, const std::string& caller, const std::shared_ptr<AnswerQueue>& queue) {
  std::vector<Submission> submissions;
  const std::size_t last = call.prompts.size() - 1;
  for (std::size_t i = 0; i <= last; ++i) {
    submissions.push_back({.request = i < last ? call.request : std::move(call.request),
                           .answers = options_of_answers(call, i),
                           .turn = {.priority = call.priority, .client = caller},
                           .prompt = call.prompts[i],
                           .picture_fields = call.picture_fields,
                           .number = i});
  }
  return engine_.submit(std::move(submissions), queue);
}

std::unique_ptr<ReplyForm> Service::form_of(Call& call, const std::string& id) const {
  ReplyHead head{.id = id,
                 .model = call.lora.value_or(model_name()),
                 .created = std::time(nullptr),
                 .log_probs = call.options.best_tokens ? &session_ : nullptr,
                 .savings = savings_of(call)};
  if (call.response) return std::make_unique<ResponsesForm>(std::move(head), std::move(*call.response));
  head.id.insert(0, call.chat ? "chatcmpl-" : "cmpl-");
  return std::make_unique<CompletionsForm>(AnswerHead{std::move(head), call.chat, call.token_ids},
                                           call.prompts.size() * static_cast<std::size_t>(call.answers),
                                           call.usage_at_end);
}

Savings Service::savings_of(const Call& call) const {
  Savings savings{.kv_token_bytes = kv_token_bytes_, .uncached_rows = session_.facts().modality_rows > 0 ? 1 : 0};
  if (call.kept_patches) savings.patches = patches_shown(session_, call.request);
  return savings;
}

std::string Service::next_id() {
  static const uint64_t kProcess = std::random_device()() * uint64_t{0x100000001} ^ std::random_device()();
  return fmt::format("{:016x}", mixed(kProcess, ++requests_));
}

Refusal refusal_of(const std::exception_ptr& thrown, bool of_caller, const std::string& prompt) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Refusal& refusal) {
    return refusal;
  } catch (...) {
    const Error error = session::error_of(thrown);
    if (session::says_too_long(thrown)) return {400, error.what(), prompt, "context_length_exceeded"};
    if (error.fault() == Fault::no_memory) return {503, error.what(), {}, "no_memory"};
    const bool bad = error.fault() == Fault::bad_request || (error.fault() == Fault::bad_file && of_caller);
    return {bad ? 400 : 500, error.what()};
  }
}

}  // namespace lithe::serve

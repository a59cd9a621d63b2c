#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/mixed.h"
#include "serve/call.h"
#include "serve/engine.h"
#include "serve/host_names.h"
#include "serve/loras.h"
#include "serve/metrics.h"
#include "serve/reply_form.h"
#include "serve/response.h"
#include "serve/savings.h"
#include "serve/server.h"

namespace lithe::serve {

struct FetchWatch;

/// A path that the server knows.
struct Route {
  enum class Kind {
    page,
    health,
    ready,
    metrics,
    models,
    model,
    chat,
    completion,
    response,
    input_tokens,
    tokenize,
    detokenize,
    load_lora,
    unload_lora
  };
  Kind kind;
  const char* method;   ///< GET: also HEAD.
  const char* path;     ///< Of `model`: what stands before a name.
  uint64_t body_bytes;  ///< At most.
  bool needs_key;

  /// The field of the body that holds the prompt.
  const char* prompt_field() const {
    return kind == Kind::completion ? "prompt" : kind == Kind::chat ? "messages" : "input";
  }
  bool asks_engine() const { return kind == Kind::chat || kind == Kind::completion || kind == Kind::response; }
  bool changes_loras() const { return kind == Kind::load_lora || kind == Kind::unload_lora; }
};

/// ServerOptions::image_root without links; empty if there is none. Throws Error{bad_request} if it is not a folder.
std::filesystem::path folder_of_pictures(const ServerOptions& options);

/// The longest body of any route.
uint64_t longest_body();

/// What a request says before its body is read.
struct RequestHead {
  std::string method;
  std::string target;               ///< A path, with a query, which is ignored.
  std::optional<std::string> host;  ///< Of a URL, else of the header Host; of old clients: absent.
  std::string content_type, content_encoding;
  std::string authorization;
  std::string known;  ///< If-None-Match
};

/// What the server does, apart from HTTP: routes, the model, the engine and the metrics. Any thread may call it.
class Service {
 public:
  Service(const session::Session& session, const ServerOptions& options);

  /// Throws Refusal for a name of the server that is not its own, an unknown path, another method, a missing key, or a
  /// body that is not JSON.
  const Route& route(const RequestHead& head) const;
  /// A reply that needs no body and no engine. Throws Refusal for a model that there is not.
  Response page(const Route& route, const RequestHead& head) const;
  /// Of /tokenize, /detokenize and /v1/responses/input_tokens. Throws Refusal and Error.
  Response tokens(const Route& route, const std::string& body) const;
  /// Loads or unloads a LoRA, which takes a while.
  struct LoraChange {
    Response reply;
    std::weak_ptr<const models::LoraOver> left;  ///< The reply is due when it is null: no answer is under it any more.
  };
  /// Throws Refusal and Error.
  LoraChange change_loras(const Route& route, const std::string& body);
  /// Throws Refusal and Error.
  Call read_call(const Route& route, const std::string& body, uint64_t seed) const;
  /// Fetches the remote pictures of a call, which takes long. Throws Refusal and Error.
  void fetch_pictures(Call& call, const FetchWatch& watch) const;
  /// Of the next call, if it has none of its own: ServerOptions::seed and the number of the call decide.
  uint64_t next_seed() { return mixed(options_.seed, calls_++); }
  /// How the answers to a call are written. `id`: of the request.
  std::unique_ptr<ReplyForm> form_of(Call& call, const std::string& id) const;
  /// Whose request it is, for taking turns: that of an API key if there are several, else that of the client's address.
  std::string caller_of(const RequestHead& head, const std::string& address) const;
  /// Hands a call to the engine, without what its form needs. False: as Engine::submit.
  bool submit(Call& call, const std::string& caller, const std::shared_ptr<AnswerQueue>& queue);

  Engine& engine() { return engine_; }
  const std::string& model_name() const { return rules_.model_names.front(); }
  const ServerOptions& options() const { return options_; }
  /// Of a new request; none is like another.
  std::string next_id();

 private:
  Json model_cards() const;
  Json model_card(const RequestHead& head, const Route& route) const;
  Savings savings_of(const Call& call) const;
  void read_prompts(Call& call) const;
  MetricFacts metric_facts() const;

  const ServerOptions options_;
  const HostNames names_;
  const session::Session& session_;
  session::ResponseFormats formats_;
  Loras loras_;
  CallRules rules_;
  const int64_t kv_token_bytes_;  // as Savings has it
  Metrics metrics_;
  Engine engine_;
  const int64_t started_;  // seconds since 1970
  std::atomic<uint64_t> requests_ = 0;
  uint64_t calls_ = 0;  // of the thread that talks to clients
};

/// What was thrown, as the client reads it. `of_caller`: files that are damaged came with the request. `prompt`: the
/// field that holds the prompt.
Refusal refusal_of(const std::exception_ptr& thrown, bool of_caller, const std::string& prompt);

}  // namespace lithe::serve

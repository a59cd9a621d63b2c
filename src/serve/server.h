#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "session/batch.h"
#include "session/session.h"

namespace lithe::serve {

class PictureFetcher;

/// A LoRA that requests choose by name.
struct NamedLora {
  std::string name, folder;  ///< The folder as `--lora` takes it.
};

/// How long each phase of a request may take. A client that is slower is cut off.
struct Patience {
  std::chrono::milliseconds idle{60'000};    ///< A connection without a request.
  std::chrono::milliseconds header{10'000};  ///< From the first byte of a request to the end of its header.
  std::chrono::milliseconds body{60'000};    ///< From there to the end of its body.
  std::chrono::milliseconds write{30'000};   ///< One piece of a reply.
  std::chrono::milliseconds ping{5'000};     ///< Silence of a stream, after which a comment says that it lives.
};

struct ServerOptions {
  std::string host = "127.0.0.1";              ///< An address, or "localhost".
  uint16_t port = 8080;                        ///< 0: any that is free.
  std::vector<std::string> model_names;        ///< Of the model, the one that replies name first; empty: the folder's.
  std::vector<std::string> api_keys;           ///< A request carries one of them; empty: none is needed.
  std::vector<std::string> allowed_hosts;      ///< What clients may call the server besides localhost and addresses.
  std::string tls_certificate, tls_key;        ///< PEM files; empty: connections are not encrypted.
  int64_t max_queue = 128;                     ///< Requests that wait, at most (EngineLimits).
  std::chrono::milliseconds request{0};        ///< From the end of a body to the end of its answer; 0: any time.
  std::chrono::milliseconds shutdown{30'000};  ///< After stop(), what runs has so long to finish.
  std::filesystem::path image_root;            ///< file: URLs may name pictures below it; empty: none.
  std::shared_ptr<PictureFetcher> fetcher;     ///< Fetches pictures of http: and https: URLs; null: they are refused.
  std::vector<NamedLora> loras;                ///< Over the model, from the start on.
  std::filesystem::path lora_root;             ///< Requests may load LoRA of folders below it; empty: none.
  int64_t max_loras = 16;                      ///< At a time, at most.
  bool page = true;                            ///< GET / gives a page for people.
  uint64_t seed = 0;                           ///< Of requests without a seed, with their number.
  session::BatchLimits limits;                 ///< Without the caches' bytes, which are these two:
  std::optional<int64_t> prefix_cache_bytes, picture_cache_bytes;  ///< Absent: a half and an eighth of limits.bytes.
  uint64_t body_bytes = uint64_t{512} << 20;                       ///< Of all requests together, at most.
  int64_t connections = 1000;  ///< At a time, at most; for another one, the longest idle one ends.
  Patience patience;
  bool handle_signals = false;  ///< SIGINT and SIGTERM call stop(); a second one cuts what runs.
  /// Takes the lines of the access log, from a thread of its own, which it may hold up; empty: there is no log. Lines
  /// that it does not take in time are dropped.
  std::function<void(const std::string& line)> log;
};

/// Throws Error{bad_request} if a server can't listen where the options say, if an allowed host is not a name, if the
/// folder of pictures or of LoRA is not one, or if the certificate can't be used. Called before a model is loaded,
/// which may take minutes.
void check_place(const ServerOptions& options);

/// An HTTP server with the API of OpenAI over one model. A thread of its own talks to clients, others read bodies, and
/// the thread that calls run() owns the model.
class Server {
 public:
  /// Opens the LoRA of the options, and listens. The session must outlive it. Throws Error{bad_request} if it can't
  /// listen there, and what session::open_lora throws.
  Server(const session::Session& session, ServerOptions options);
  ~Server();

  uint16_t port() const;
  /// Answers requests until stop(). Call it once.
  void run();
  /// Takes no more requests, lets what runs finish or cuts it after `shutdown`, and ends run(). From any thread.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lithe::serve

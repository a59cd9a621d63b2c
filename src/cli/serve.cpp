#include <fmt/format.h>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "cli/batch_limits.h"
#include "cli/command.h"
#include "cli/number.h"
#include "cli/options.h"
#include "cli/standard_output.h"
#include "serve/picture_fetcher.h"
#include "serve/server.h"

namespace lithe::cli {
namespace {

constexpr const char* kServeDescription =
    R"(Serves a model over HTTP with the API of OpenAI: chat with pictures, streams, text completions.

The paths are /v1/chat/completions, /v1/completions, /v1/responses, /v1/models, /tokenize, /detokenize, /health, /ready and
/metrics. Requests share the model: several run at a time, as in `lithe batch`. Each answer is the one that `lithe run` gives,
up to the rounding of float32. A request may name a skip plan ("plan"). docs/serve.md describes the fields. A web browser that
opens the printed address gets a page to chat with the model, which also shows what was skipped; --no-page turns it off.

Pictures come in the request, as data: URLs. The server reads no local file and no remote URL. With --image-root, file: URLs may
name pictures in that folder. With --allow-remote-images, the server fetches pictures from the public internet.

With --lora NAME=DIR, a request whose "model" is NAME gets the model with this LoRA; several may be served at a time. With
--lora-root, requests may load LoRA from folders below it, and unload them.

By default only programs on this machine reach the server. They call it by an address, by localhost, or by a name of
--allowed-host, so that no page of another web site can use it. Before you use --host 0.0.0.0, set an API key with --api-key or
the environment variable LITHE_API_KEY (other users of this machine can see flags). --tls-cert and --tls-key encrypt connections.

Ctrl-C or SIGTERM ends the server: it takes no more requests, and those that it has taken have --shutdown-timeout seconds to
finish. A second signal ends them at once.)";

constexpr const char* kServeFooter = R"(Examples:
  lithe serve demo
  lithe serve ~/llava-1.5-7b-hf --port 9000 --batch-size 8 --memory 12 --log json
  lithe serve ~/llava-1.5-7b-hf --lora red=adapters/red --lora blue=adapters/blue
  lithe serve demo-dense --model-name picture-reader --image-root models/images --max-queue 16

Exit codes: 0 ended by a signal, 2 impossible request (also: the port is taken), 3 bad file, 1 anything else.)";

struct ServeOptions {
  CommonOptions common;
  std::string model, model_name, image_root, lora_root, log = "off";
  bool no_page = false, remote_pictures = false;
  int64_t port = 8080;
  double shutdown_seconds = 30;
  std::optional<double> request_seconds;
  BatchLimitFlags limits{.limits = {.prefill_rows = 2048}};
  std::string prefix_cache, picture_cache;
  serve::ServerOptions server;
};

/// Several keys are separated by commas, which no key can hold: RFC 6750 says so.
void take_keys(serve::ServerOptions& server) {
  const char* const keys = std::getenv("LITHE_API_KEY");
  if (!server.api_keys.empty() || !keys) return;
  std::istringstream in(keys);
  for (std::string key; std::getline(in, key, ',');) {
    if (!key.empty()) server.api_keys.push_back(key);
  }
}

void check_keys(const std::vector<std::string>& keys) {
  const bool empty = std::any_of(keys.begin(), keys.end(), [](const std::string& key) { return key.empty(); });
  require(!empty, Fault::bad_request, "--api-key is empty; give a key, or leave it out.");
}

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(1e3 * seconds));
}

constexpr DecimalFlag kCacheFlag{.names = "", .what = "", .highest = 1e6, .type_name = "GIB"};

/// "0.5" GiB or "off". Absent if the flag was not given.
std::optional<int64_t> cache_bytes(const std::string& text, const char* flag) {
  if (text.empty()) return std::nullopt;
  if (text == "off") return 0;
  return static_cast<int64_t>(decimal_number(text, kCacheFlag, flag) * (int64_t{1} << 30));
}

int run(ServeOptions options) {
  require(options.log == "off" || options.log == "json", Fault::bad_request, "--log is ", in_quotes(options.log),
          "; give json or off.");
  serve::ServerOptions& server = options.server;
  check_keys(server.api_keys);
  take_keys(server);
  server.port = static_cast<uint16_t>(options.port);
  server.shutdown = milliseconds_of(options.shutdown_seconds);
  if (options.request_seconds)
    server.request = std::max(std::chrono::milliseconds(1), milliseconds_of(*options.request_seconds));
  server.image_root = options.image_root;
  server.lora_root = options.lora_root;
  server.page = !options.no_page;
  if (options.remote_pictures) server.fetcher = std::make_shared<serve::PictureFetcher>();
  server.seed = options.common.seed;
  server.limits = options.limits.read();
  server.prefix_cache_bytes = cache_bytes(options.prefix_cache, "--prefix-cache");
  server.picture_cache_bytes = cache_bytes(options.picture_cache, "--picture-cache");
  server.handle_signals = true;
  if (options.log == "json") server.log = [](const std::string& line) { write_err(line); };
  serve::check_place(server);
  const session::Session session = open_session(options.model, options.common);
  server.model_names = {options.model_name.empty() ? options.model : options.model_name};
  if (options.model_name.empty() && session.facts().name != options.model)
    server.model_names.push_back(session.facts().name);
  serve::Server serving(session, server);
  const std::string host = server.host.find(':') == std::string::npos ? server.host : "[" + server.host + "]";
  const char* const scheme = server.tls_certificate.empty() ? "http" : "https";
  write_out(
      fmt::format("Serving {} at {}://{}:{}\n", printable(server.model_names.front()), scheme, host, serving.port()));
  serving.run();
  return 0;
}

void add_network(CLI::App& app, ServeOptions& options) {
  const std::string group = "Server";
  app.add_option("--host", options.server.host, "Address to listen at; 0.0.0.0: at all (default: 127.0.0.1)")
      ->type_name("ADDRESS")
      ->group(group);
  add_count(
      app, options.port,
      {.names = "--port", .what = "Port to listen at; 0: any, which is printed (default: 8080)", .highest = 65535})
      ->group(group);
  app.add_option(
         "--api-key", options.server.api_keys,
         "Key that requests to /v1, /tokenize and /detokenize must carry; give the flag once for each of several "
         "(default: LITHE_API_KEY, several with commas between them, else none)")
      ->type_name("KEY")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option(
         "--allowed-host", options.server.allowed_hosts,
         "Name by which clients may call the server besides localhost and addresses; give the flag once for each "
         "(default: none if --host is an address of this machine alone, else any)")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--tls-cert", options.server.tls_certificate,
                 "Certificate for HTTPS as PEM, with those of its issuers after it (default: HTTP without TLS)")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--tls-key", options.server.tls_key, "Its private key as PEM, without a password")
      ->type_name("FILE")
      ->group(group);
  add_count(
      app, options.server.max_queue,
      {.names = "--max-queue",
       .what = "Requests that may wait; more get status 503. An eighth of these places is kept for clients without "
               "another request (default: 128)"})
      ->group(group);
  add_decimal(app, options.request_seconds,
              {.names = "--request-timeout",
               .what = "Seconds after which a request is cut, waiting included (default: none)",
               .highest = 1e6,
               .above_lowest = true,
               .type_name = "SECONDS"})
      ->group(group);
  add_decimal(app, options.shutdown_seconds,
              {.names = "--shutdown-timeout",
               .what = "Seconds that accepted requests have to finish when the server ends (default: 30)",
               .highest = 86400,
               .type_name = "SECONDS"})
      ->group(group);
  app.add_flag("--no-page", options.no_page, "Serve no page for web browsers at /")->group(group);
  app.add_option("--log", options.log, "json: a line on stderr for each request. off: none (default)")
      ->type_name("KIND")
      ->group(group);
}

void add_caches(CLI::App& app, ServeOptions& options) {
  app.add_option("--prefix-cache", options.prefix_cache,
                 "GiB of --memory that keys and values of earlier prompts may take, or off (default: a half of it)")
      ->type_name("GIB|off");
  app.add_option("--picture-cache", options.picture_cache,
                 "GiB of --memory that rows of earlier pictures may take, or off (default: an eighth of it)")
      ->type_name("GIB|off");
}

/// NAME=DIR: a LoRA that requests choose by name. DIR alone: over the model of all requests, as in other commands.
void take_lora(const std::string& value, ServeOptions& options) {
  const std::size_t sign = value.find('=');
  if (sign != value.npos) {
    const std::string folder = value.substr(sign + 1);
    require(!folder.empty(), Fault::bad_request, "--lora ", in_quotes(value), " names no folder; write NAME=DIR.");
    return options.server.loras.push_back({value.substr(0, sign), folder});
  }
  require(!value.empty(), Fault::bad_request, "--lora is empty; give NAME=DIR, or leave it out.");
  require(options.common.lora.empty(), Fault::bad_request, "--lora ", in_quotes(value),
          " is the second LoRA without a name; write NAME=DIR to serve several.");
  options.common.lora = value;
}

void add_lora_flags(CLI::App& app, ServeOptions& options) {
  const std::string group = "LoRA";
  app.remove_option(app.get_option("--lora"));  // of a command for one question at a time
  app.add_option_function<std::vector<std::string>>(
         "--lora",
         [&options](const std::vector<std::string>& values) {
           for (const std::string& value : values) take_lora(value, options);
         },
         "A PEFT folder with LoRA that requests choose by name; give the flag once for each. Without NAME=: for all "
         "requests")
      ->type_name("NAME=DIR")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--lora-root", options.lora_root,
                 "Folder below which requests may load LoRA, and unload them (default: none)")
      ->type_name("DIR")
      ->group(group);
  add_count(app, options.server.max_loras,
            {.names = "--max-loras", .what = "LoRA that are loaded at a time, at most (default: 16)"})
      ->group(group);
}

void add_model_flags(CLI::App& app, ServeOptions& options) {
  app.add_option("--model-name", options.model_name, "Name of the model in requests and replies (default: MODEL)")
      ->type_name("NAME");
  app.add_option("--image-root", options.image_root, "Folder below which file: URLs may name pictures (default: none)")
      ->type_name("DIR");
  app.add_flag(
      "--allow-remote-images", options.remote_pictures,
      "Fetch pictures that requests name by http: and https: URLs, from public addresses (default: refuse them)");
}

}  // namespace

Action declare_serve(CLI::App& app) {
  const auto options = std::make_shared<ServeOptions>();
  app.description(kServeDescription);
  app.footer(kServeFooter);
  app.add_option("MODEL", options->model,
                 "Model folder, GGUF file, name in the Hugging Face cache, demo, or demo-dense")
      ->required();
  add_model_flags(app, *options);
  add_batch_limits(app, options->limits);
  add_caches(app, *options);
  add_network(app, *options);
  add_common(app, options->common);
  add_kv(app, options->common);
  add_compute(app, options->common);
  add_lora_flags(app, *options);
  return [options] { return run(*options); };
}

}  // namespace lithe::cli

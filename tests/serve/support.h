#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "serve/client.h"
#include "serve/server.h"
#include "session/session.h"

namespace lithe::serve {

inline const std::filesystem::path kModels = LITHE_SOURCE_DIR "/models";
inline constexpr const char* kChat = "/v1/chat/completions";

/// The shipped p-MoD model, opened once.
const session::Session& demo();

/// The usage of a reply without what depends on the requests before it.
Json without_cached(Json usage);

/// The value of a line of /metrics that begins with this name.
double metric_of(uint16_t port, const std::string& name);
/// Waits until a metric has this value; two minutes at most.
bool reaches(uint16_t port, const std::string& name, double value);

/// A server over the demo model on a free port, which runs until the end of the test.
class Running {
 public:
  explicit Running(ServerOptions options = {});
  ~Running();

  uint16_t port() const { return server_.port(); }
  Server& server() { return server_; }
  /// Waits until run() has returned.
  void join();

  double metric(const std::string& name) const { return metric_of(port(), name); }
  bool reaches(const std::string& name, double value) const { return serve::reaches(port(), name, value); }

 private:
  Server server_;
  std::thread thread_;
};

/// A shipped question.
struct Shipped {
  std::string image, question;
};
/// Questions about different pictures.
std::vector<Shipped> shipped_questions(std::size_t count);

/// The bytes of a file; empty if there is none.
std::string contents(const std::filesystem::path& file);
std::string base64_of(const std::string& bytes);
std::string data_url(const std::filesystem::path& file);

/// A body of /v1/chat/completions.
Json chat_body(const std::string& text, const std::vector<std::string>& urls = {});
Json chat_body(const Shipped& shipped);

/// The answer of the session alone, as `lithe run` gives it.
session::Answer alone(const Shipped& shipped, const session::AnswerOptions& options = {},
                      const std::optional<std::string>& plan = std::nullopt);

/// A body whose answer takes long: 1,500 tokens, whatever they are.
Json long_body(bool stream = true);

}  // namespace lithe::serve

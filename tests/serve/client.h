#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace lithe::serve {

/// A reply of a server.
struct Reply {
  int status = 0;                             ///< 0: the connection ended before a header.
  std::map<std::string, std::string> header;  ///< Names in small letters.
  std::string body;
  bool whole = false;  ///< The body ended as the header says.

  Json json() const { return parse_json(body, "the reply"); }
  /// The "code" of an error.
  std::string code() const;
  std::string message() const;
};

/// What a stream said.
struct Stream {
  std::vector<Json> events;
  int64_t pings = 0;
  bool done = false;  ///< "[DONE]" came last.
  std::string text() const;
};
Stream stream_of(const std::string& body);

/// A connection to a port of this machine. Reading gives up after two minutes.
class Client {
 public:
  /// `window`: how many bytes the system takes that are not read yet, about; 0: as it likes. `from`: an address of this
  /// machine; null: any.
  explicit Client(uint16_t port, int window = 0, const char* from = nullptr);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// False: the other side no longer reads.
  bool send(const std::string& bytes);
  /// Says that nothing more is sent.
  void end_sending();
  /// The next reply. `head_only`: that it has no body, whatever its header says.
  Reply receive(bool head_only = false);
  /// Reads until `words` have come, or the end. -> all that came
  std::string read_until(const std::string& words);
  /// Reads to the end of the connection.
  std::string read_all();
  void close();

 private:
  bool read_more();

  int file_ = -1;
  std::string got_;
};

/// A request as text.
std::string request_text(const std::string& method, const std::string& path, const std::string& body = {},
                         const std::string& more_header = "Content-Type: application/json\r\n");

/// One request on a connection of its own.
Reply get(uint16_t port, const std::string& path);
Reply post(uint16_t port, const std::string& path, const std::string& body);
Reply post(uint16_t port, const std::string& path, const Json& body);

}  // namespace lithe::serve

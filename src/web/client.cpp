#include "web/client.h"

#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

#include "base/any_case.h"
#include "base/error.h"
#include "base/printable.h"
#include "web/curl.h"

namespace lithe::web {
namespace {

constexpr std::size_t kMostUrlBytes = 8192;

/// Of one transfer, for the functions that libcurl calls.
struct Transfer {
  const Question& question;
  Reply reply;
  bool refused = false, too_long = false;  // by us
};

struct Free {
  void operator()(CURL* handle) const { libcurl().easy_cleanup(handle); }
  void operator()(curl_slist* list) const { libcurl().slist_free_all(list); }
};
using Handle = std::unique_ptr<CURL, Free>;
using Lines = std::unique_ptr<curl_slist, Free>;

/// Called with the address that is about to be connected to, so a name that changes its address gains nothing.
curl_socket_t open_socket(void* user, curlsocktype, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.question.may_reach && !transfer.question.may_reach(address->addr)) {
    transfer.refused = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

std::size_t take(const char* bytes, std::size_t, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  transfer.too_long = transfer.reply.body.size() + count > transfer.question.most_bytes;
  if (transfer.too_long) return 0;
  if (transfer.question.has_room && !transfer.question.has_room(count)) return 0;
  transfer.reply.body.append(bytes, count);
  return count;
}

int look(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const Question& question = static_cast<const Transfer*>(user)->question;
  return question.goes_on && !question.goes_on() ? 1 : 0;
}

void append(Lines& lines, const std::string& line) {
  curl_slist* const more = libcurl().slist_append(lines.get(), line.c_str());
  require(more != nullptr, Fault::no_memory, "There is no memory for a header.");
  (void)lines.release();
  lines.reset(more);
}

Lines header_of(const Question& question) {
  Lines lines;
  if (!question.key.empty()) append(lines, "Authorization: Bearer " + question.key);
  if (question.json) append(lines, "Content-Type: application/json");
  append(lines, "Expect:");  // the body is sent at once
  return lines;
}

template <class Value>
void set(CURL* handle, CURLoption option, Value value) {
  const CURLcode code = libcurl().easy_setopt(handle, option, value);
  require(code == CURLE_OK, Fault::internal, "libcurl does not take option ", static_cast<int>(option), ": ",
          libcurl().easy_strerror(code), ".");
}

void set_limits(CURL* handle, Transfer& transfer) {
  const Question& question = transfer.question;
  const auto silence = static_cast<long>(question.silence.count());
  set(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  set(handle, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  set(handle, CURLOPT_PROXY, "");
  set(handle, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  set(handle, CURLOPT_NOSIGNAL, 1L);
  set(handle, CURLOPT_FOLLOWLOCATION, question.redirects > 0 ? 1L : 0L);
  set(handle, CURLOPT_MAXREDIRS, static_cast<long>(question.redirects));
  set(handle, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(question.most_bytes));
  set(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(question.patience.count()));
  set(handle, CURLOPT_CONNECTTIMEOUT, silence);
  set(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(handle, CURLOPT_LOW_SPEED_TIME, silence);
  set(handle, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  set(handle, CURLOPT_OPENSOCKETDATA, &transfer);
  set(handle, CURLOPT_NOPROGRESS, 0L);
  set(handle, CURLOPT_XFERINFOFUNCTION, look);
  set(handle, CURLOPT_XFERINFODATA, &transfer);
}

void set_question(CURL* handle, Transfer& transfer, const Lines& header) {
  const Question& question = transfer.question;
  set(handle, CURLOPT_URL, question.url.c_str());
  set(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(handle, CURLOPT_USERAGENT, "lithe");
  set(handle, CURLOPT_HTTPHEADER, header.get());
  set(handle, CURLOPT_WRITEFUNCTION, take);
  set(handle, CURLOPT_WRITEDATA, &transfer);
  // Distributions keep the list of authorities in different places; OpenSSL's own programs read this variable.
  if (const char* const authorities = std::getenv("SSL_CERT_FILE")) set(handle, CURLOPT_CAINFO, authorities);
  if (!question.json) return;
  set(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(question.json->size()));
  set(handle, CURLOPT_POSTFIELDS, question.json->c_str());
}

/// What libcurl's code means, as the end of a sentence that begins with the URL; empty for those that happen rarely.
std::string_view meaning_of(CURLcode code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_GOT_NOTHING:
      return "gave a reply that is not one of HTTP; correct it";
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
      return "gave a reply that is cut off; try again";
    case CURLE_COULDNT_RESOLVE_HOST:
      return "names a machine that is not known; correct it";
    case CURLE_OPERATION_TIMEDOUT:
      return "took too long to reply; try again later";
    case CURLE_TOO_MANY_REDIRECTS:
      return "leads on to other addresses too often; give the last of them";
    case CURLE_ABORTED_BY_CALLBACK:
      return "was given up, as this program ends";
    case CURLE_LOGIN_DENIED:
      return "holds a user name, which is not sent; leave it out";
    case CURLE_PEER_FAILED_VERIFICATION:
      return "has a certificate that is not trusted; correct it, or name a file of trusted ones by SSL_CERT_FILE";
    default:
      return {};
  }
}

[[noreturn]] void throw_failure(CURLcode code, const Transfer& transfer) {
  const std::string name = in_quotes(transfer.question.url);
  require(!transfer.refused, Fault::bad_request, "The address ", name,
          " leads to a machine that is not in the public internet; give a public address.");
  require(!transfer.too_long && code != CURLE_FILESIZE_EXCEEDED, Fault::bad_request, "The reply from ", name,
          " has more than ", transfer.question.most_bytes, " bytes; that is too long.");
  require(code != CURLE_COULDNT_CONNECT, Fault::bad_request, "Nobody answers at ", name,
          "; start the server there, or correct the address.");
  require(code != CURLE_OUT_OF_MEMORY, Fault::no_memory, "There is no memory for the reply from ", name, ".");
  const std::string_view meaning = meaning_of(code);
  require(meaning.empty(), Fault::bad_request, "The address ", name, " ", meaning, ".");
  throw Error(Fault::bad_request,
              concat("The address ", name, " can't be asked: ", libcurl().easy_strerror(code), "."));
}

}  // namespace

bool is_web_url(std::string_view text) {
  return begins_in_any_case(text, "http://") || begins_in_any_case(text, "https://");
}

void check_url(const std::string& url) {
  const std::unique_ptr<CURLU, void (*)(CURLU*)> parsed(libcurl().url(), libcurl().url_cleanup);
  const bool good = is_web_url(url) && url.size() <= kMostUrlBytes &&
                    libcurl().url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) == CURLUE_OK;
  require(good, Fault::bad_request, "The address ", in_quotes(url),
          " is not one of http or https; write it as http://HOST:PORT/PATH.");
}

Reply ask(const Question& question) {
  check_url(question.url);
  const Handle handle(libcurl().easy_init());
  require(handle != nullptr, Fault::internal, "libcurl can't be started.");
  Transfer transfer{.question = question};
  const Lines header = header_of(question);
  set_limits(handle.get(), transfer);
  set_question(handle.get(), transfer, header);
  const CURLcode code = libcurl().easy_perform(handle.get());
  if (code != CURLE_OK) throw_failure(code, transfer);
  long status = 0;
  libcurl().easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  transfer.reply.status = status;
  return std::move(transfer.reply);
}

}  // namespace lithe::web

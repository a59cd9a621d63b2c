#include "cli/standard_output.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace lithe::cli {
namespace {

bool closed_pipes_end_us = true;  // as SIGPIPE was when the program started

/// 0, or the error number.
int write_whole(int stream, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t count = ::write(stream, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {  // somebody else made the terminal or pipe non-blocking
      pollfd ready{.fd = stream, .events = POLLOUT, .revents = 0};
      poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

OutputFailed::OutputFailed(const std::string& reason)
    : Error(Fault::bad_file,
            concat("The output can't be written to stdout (", reason, "); make room, or send it elsewhere.")) {}

void prepare_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0 || errno != EBADF) continue;
    // open() takes the lowest free number, which is this one. The direction is wrong on purpose.
    (void)open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of its writer, who names it
  closed_pipes_end_us = std::signal(SIGPIPE, SIG_IGN) != SIG_IGN;
}

void write_out(std::string_view text) {
  const int error = write_whole(STDOUT_FILENO, text);
  if (error == EPIPE && closed_pipes_end_us) {
    std::signal(SIGPIPE, SIG_DFL);
    std::raise(SIGPIPE);
  }
  if (error != 0) throw OutputFailed(std::strerror(error));
}

void write_json(const Json& json) {
  write_out(json_text(json, 2) + "\n");
}

void write_err(std::string_view text) noexcept {
  write_whole(STDERR_FILENO, text);
}

}  // namespace lithe::cli

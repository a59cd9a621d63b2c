#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <regex>
#include <string>
#include <vector>

namespace lithe::cli {

inline constexpr const char* kCtrlC = "\x03";
inline constexpr const char* kCtrlD = "\x04";

/// The program at a terminal of its own; a "dumb" one cannot erase, so there is no progress on it.
class Terminal {
 public:
  Terminal(const std::vector<std::string>& arguments, const std::filesystem::path& state, const char* kind = "dumb") {
    const winsize size{.ws_row = 50, .ws_col = 400};
    child_ = forkpty(&terminal_, nullptr, nullptr, &size);
    if (child_ != 0) return;
    setenv("TERM", kind, 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    setenv("XDG_STATE_HOME", state.c_str(), 1);
    std::vector<char*> values{const_cast<char*>("lithe")};
    for (const std::string& argument : arguments) values.push_back(const_cast<char*>(argument.c_str()));
    values.push_back(nullptr);
    execv(LITHE_BINARY, values.data());
    _exit(127);
  }
  ~Terminal() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    close(terminal_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(const std::string& keys) { ASSERT_EQ(::write(terminal_, keys.data(), keys.size()), ssize_t(keys.size())); }

  /// Everything that came up to and with `text`, since the last call.
  std::string until(const std::string& text) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(::testing::Test::HasFailure() ? 1 : 60);
    std::size_t at = std::string::npos;
    while ((at = seen_.find(text)) == std::string::npos && std::chrono::steady_clock::now() < end && read_more()) {
    }
    EXPECT_NE(at, std::string::npos) << "waited for '" << text << "', saw '" << seen_ << "'";
    const std::string before = seen_.substr(0, at == std::string::npos ? at : at + text.size());
    seen_.erase(0, before.size());
    return before;
  }

  /// What came before the next prompt. The editor prints it and then takes over the keys, so that is waited for too.
  std::string prompt(const std::string& mark = "> ") {
    std::string printed = until(mark);
    termios mode = {};
    for (int tries = 0; tries < 10'000 && tcgetattr(terminal_, &mode) == 0 && (mode.c_lflag & ICANON) != 0; ++tries) {
      usleep(1000);
    }
    printed.resize(printed.size() - std::min(mark.size(), printed.size()));
    return std::regex_replace(printed, std::regex("\r"), "");
  }

  /// Waits until an answer is under way: more has come than the end of the line that was typed.
  void answer_begins() {
    constexpr std::size_t kSome = 40;
    for (int tries = 0; tries < 600 && seen_.size() < kSome && read_more(); ++tries) {
    }
    EXPECT_GE(seen_.size(), kSome);
  }

  /// Types a line; what it printed, up to the next prompt.
  std::string enter(const std::string& line) {
    type(line + "\r");
    until("\n");
    return prompt();
  }

  int exit_code() {
    for (int tries = 0; tries < 1000 && read_more(); ++tries) {
    }
    kill(child_, SIGKILL);  // one that has ended does not notice
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  bool read_more() {
    pollfd ready{.fd = terminal_, .events = POLLIN};
    if (poll(&ready, 1, 1000) != 1) return true;  // not yet
    char buffer[4096];
    const ssize_t got = read(terminal_, buffer, sizeof buffer);
    if (got <= 0) return false;  // the program went away
    seen_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  int terminal_ = -1;
  pid_t child_ = -1;
  std::string seen_;
};

}  // namespace lithe::cli

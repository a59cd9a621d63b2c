#include "cli/folder_writer.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <system_error>

#include "base/error.h"
#include "cli/exit_code.h"
#include "io/new_folder.h"

namespace lithe::cli {
namespace {

volatile std::sig_atomic_t writer = 0;

/// A terminal sends Ctrl-C to both processes, `kill` to one.
void pass_on(int signal) {
  kill(writer, signal);
}

/// SIGINT and SIGTERM held back while this lives, so that none comes between the fork and its handler.
class HeldBack {
 public:
  HeldBack() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, &before_);
  }
  ~HeldBack() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  HeldBack(const HeldBack&) = delete;
  HeldBack& operator=(const HeldBack&) = delete;

 private:
  sigset_t before_;
};

[[noreturn]] void run_writer(const std::function<int()>& command) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  std::exit(guarded(command));
}

int exit_of(int status) {
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  const int signal = WTERMSIG(status);
  if (signal == SIGINT) return kExitInterrupted;
  fail(Fault::internal, "The folder is not written, as the process was killed (", strsignal(signal),
       "); look whether memory or disk ran out.");
}

}  // namespace

int write_folder(const std::filesystem::path& folder, const std::function<int()>& command) {
  std::fflush(nullptr);  // or both would write what is buffered
  int status = 0;
  {
    std::optional<HeldBack> held(std::in_place);
    writer = fork();
    require(writer >= 0, Fault::no_memory, "The machine can't start another process; end some programs.");
    if (writer == 0) {
      held.reset();
      run_writer(command);
    }
    std::signal(SIGINT, pass_on);
    std::signal(SIGTERM, pass_on);
  }
  while (waitpid(writer, &status, 0) < 0 && errno == EINTR) {
  }
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  std::error_code ignored;
  std::filesystem::remove_all(io::NewFolder::part_of(folder, writer), ignored);
  return exit_of(status);
}

}  // namespace lithe::cli

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
#include "base/printable.h"
#include "cli/exit_code.h"
#include "cli/standard_output.h"
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

void say_in_place(const std::filesystem::path& folder) {
  write_err("lithe: " + printable(folder.string()) + ": is whole and in place; only the report is lost.\n");
}

int exit_of(const std::function<void()>& step) {
  return guarded([&] {
    step();
    return 0;
  });
}

[[noreturn]] void run_writer(const std::filesystem::path& folder, const std::function<void()>& make,
                             const std::function<void()>& report) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (const int code = exit_of(make); code != 0) std::exit(code);
  const int code = exit_of(report);
  if (code != 0) say_in_place(folder);
  for (const int late : {SIGINT, SIGTERM}) std::signal(late, SIG_IGN);  // all is said and done
  std::exit(code);
}

/// The writer puts the folder in place by a rename, so its part is there until then. The place was free before.
bool is_in_place(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder, ignored) &&
         !std::filesystem::exists(io::NewFolder::part_of(folder, writer), ignored);
}

/// The writer's exit code, with a sentence that tells whether the folder is there if the writer could not.
int exit_of(int status, const std::filesystem::path& folder, bool whole) {
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  const bool interrupted = WIFSIGNALED(status) ? WTERMSIG(status) == SIGINT : code == kExitInterrupted;
  if (WIFEXITED(status) && !interrupted) return code;
  require(interrupted || whole, Fault::internal, folder.string(), ": is not written, as the process was killed (",
          strsignal(WTERMSIG(status)), "); check whether memory or disk ran out.");
  if (whole) say_in_place(folder);
  return interrupted ? kExitInterrupted : code;
}

}  // namespace

int write_folder(const std::filesystem::path& folder, const std::function<void()>& make,
                 const std::function<void()>& report) {
  io::NewFolder::check_place(folder);
  std::fflush(nullptr);  // or both would write what is buffered
  int status = 0;
  {
    std::optional<HeldBack> held(std::in_place);
    writer = fork();
    require(writer >= 0, Fault::no_memory, "The machine can't start another process; end some programs.");
    if (writer == 0) {
      held.reset();
      run_writer(folder, make, report);
    }
    std::signal(SIGINT, pass_on);
    std::signal(SIGTERM, pass_on);
  }
  while (waitpid(writer, &status, 0) < 0 && errno == EINTR) {
  }
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  const bool whole = is_in_place(folder);
  std::error_code ignored;
  std::filesystem::remove_all(io::NewFolder::part_of(folder, writer), ignored);
  return exit_of(status, folder, whole);
}

}  // namespace lithe::cli

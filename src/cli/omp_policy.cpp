#include "cli/omp_policy.h"

#include <sys/auxv.h>
#include <unistd.h>
#include <climits>
#include <cstdlib>
#include <cstring>

namespace lithe::cli {
namespace {

// Threads that spin while they wait cost up to 5x on a busy machine, and libgomp has no call to stop it: it reads
// OMP_WAIT_POLICY once, in its own initialiser, long before main. So the program starts itself again with the variable
// set. It does so from .preinit_array, which the loader runs before the initialiser of any library: PyTorch's have not
// run yet (they are most of its start-up time), and the second start costs some 15 ms. A setenv here would not do: libc
// is not initialised either, and drops what it finds in `environ` when it is. Hence no allocation and no libc state
// below.
constexpr char kName[] = "OMP_WAIT_POLICY=";
constexpr int kMaxVariables = 8192;
char passive[] = "OMP_WAIT_POLICY=passive";
char* wider_environment[kMaxVariables + 2];
char program[PATH_MAX];

void restart_with_passive_threads(int, char** arguments, char** environment) {
  int count = 0;
  for (; environment[count] != nullptr; ++count) {
    if (count == kMaxVariables || std::strncmp(environment[count], kName, sizeof kName - 1) == 0) return;
    wider_environment[count] = environment[count];
  }
  wider_environment[count] = passive;
  // Run as `ld.so ./lithe`, /proc/self/exe is the loader and would take the arguments for its own.
  if (getauxval(AT_BASE) == 0) return;
  // Not "/proc/self/exe" itself, or the process would be called "exe" in ps and top.
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  if (length <= 0) return;
  // Returns only when it fails; threads then spin, and answers are the same.
  execve(program, arguments, wider_environment);
}

using PreInit = void (*)(int, char**, char**);
__attribute__((section(".preinit_array"), used)) PreInit hook = restart_with_passive_threads;

}  // namespace

std::string omp_wait_policy() {
  const char* value = std::getenv("OMP_WAIT_POLICY");
  return value == nullptr ? "" : value;
}

}  // namespace lithe::cli

#include "cli/interrupt.h"

#include <csignal>

namespace lithe::cli {
namespace {

volatile std::sig_atomic_t pressed = 0;

void remember(int) {
  pressed = 1;
}

}  // namespace

InterruptGuard::InterruptGuard() {
  pressed = 0;
  struct sigaction action = {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESETHAND | SA_RESTART;  // a second Ctrl-C finds the default again
  sigaction(SIGINT, &action, nullptr);
}

InterruptGuard::~InterruptGuard() {
  std::signal(SIGINT, SIG_DFL);
}

bool InterruptGuard::interrupted() {
  return pressed != 0;
}

}  // namespace lithe::cli

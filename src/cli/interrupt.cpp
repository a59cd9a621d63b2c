#include "cli/interrupt.h"

#include <unistd.h>
#include <csignal>

#include "cli/exit_code.h"
#include "cli/progress.h"

namespace lithe::cli {
namespace {

volatile std::sig_atomic_t guarded_now = 0, pressed = 0;

void on_interrupt(int) {
  if (guarded_now != 0 && pressed == 0) {
    pressed = 1;
    return;
  }
  Progress::wipe_in_handler();
  _exit(kExitInterrupted);
}

}  // namespace

void end_on_interrupt() {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
}

InterruptGuard::InterruptGuard() {
  pressed = 0;
  guarded_now = 1;
  end_on_interrupt();
}

InterruptGuard::~InterruptGuard() {
  guarded_now = 0;
}

bool InterruptGuard::interrupted() {
  return pressed != 0;
}

}  // namespace lithe::cli

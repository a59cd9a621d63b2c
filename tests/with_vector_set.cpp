// with_vector_set SET COMMAND..: runs a test with LITHE_CPU=SET. Exits with 77, which ctest reports as skipped, if the
// processor lacks the set, or if it is the one that the processor uses anyway.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/vector_set.h"

int main(int argc, char** argv) {
  constexpr int kSkipped = 77, kCannotRun = 127;
  if (argc < 3) return kCannotRun;
  const std::string_view wanted = argv[1];
  for (const lithe::VectorSet set : lithe::processor_vector_sets()) {
    if (lithe::name_of(set) != wanted) continue;
    if (set == lithe::processor_vector_sets().back()) {
      std::printf("skipped: %s is what this processor uses without LITHE_CPU\n", argv[1]);
      return kSkipped;
    }
    ::setenv("LITHE_CPU", argv[1], 1);
    ::execv(argv[2], argv + 2);
    std::perror(argv[2]);
    return kCannotRun;
  }
  std::printf("skipped: this processor lacks %s\n", argv[1]);
  return kSkipped;
}

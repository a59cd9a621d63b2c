// Pictures decoded by a process that may allocate little: it says that memory is lacking, never that a file is damaged.
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <string>

#include "base/error.h"
#include "image/decode.h"
#include "image/support.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LITHE_SANITIZED 1
#else
#define LITHE_SANITIZED 0
#endif

namespace lithe::image {
namespace {

enum Outcome { kDecoded = 10, kNoMemory = 11, kOther = 12 };

rlim_t address_space() {
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  return pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

/// Decodes in a child process that may map `room` bytes more than it has.
int outcome_with(rlim_t room, const std::vector<std::byte>& bytes) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{address_space() + room, RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &limit);
    int outcome = kDecoded;
    try {
      decode_image(bytes, "picture", {.alpha = Alpha::on_white});
    } catch (const Error& error) {
      outcome = error.fault() == Fault::no_memory ? kNoMemory : kOther;
    } catch (...) {
      outcome = kOther;
    }
    _exit(outcome);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class LittleMemory : public testing::TestWithParam<std::string> {};

TEST_P(LittleMemory, IsNotCalledDamage) {
  if (LITHE_SANITIZED) GTEST_SKIP() << "sanitizers map memory of their own";
  const std::vector<std::byte> bytes = read_image_bytes(test::kData / "large" / GetParam());
  std::set<int> outcomes;
  for (rlim_t room = 0; room <= rlim_t{20} << 20; room += rlim_t{1} << 20) outcomes.insert(outcome_with(room, bytes));
  EXPECT_EQ(outcomes, (std::set<int>{kDecoded, kNoMemory}));
}

INSTANTIATE_TEST_SUITE_P(EveryCodec, LittleMemory,
                         testing::Values("jpeg.jpg", "jpeg_progressive.jpg", "png.png", "png_alpha.png",
                                         "webp_lossy.webp", "webp_lossless.webp", "webp_animated.webp", "gif.gif"));

}  // namespace
}  // namespace lithe::image

// Pictures decoded by a process that may allocate little: it says that memory is lacking, never that a file is damaged.
#include <gtest/gtest.h>

#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "base/error.h"
#include "image/decode.h"
#include "image/support.h"
#include "sanitized.h"

namespace lithe::image {
namespace {

enum Outcome { kDecoded = 10, kNoMemory = 11, kOther = 12 };

rlim_t address_space() {
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  return pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

/// Takes the free memory that earlier tests left in the heap, so that whatever is large has to come from the system.
void use_up_heap() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  [[maybe_unused]] static void* volatile taken = nullptr;  // Keeps the compiler from leaving the calls out.
  for (std::size_t size = std::size_t{4} << 20; size >= std::size_t{32} << 10; size /= 2) {
    for (rlim_t before = address_space(); address_space() == before;) taken = std::malloc(size);
  }
  mallopt(M_MMAP_THRESHOLD, 64 << 10);
}

/// Decodes in a child process that may map `room` bytes more than it has.
int outcome_with(rlim_t room, const std::vector<std::byte>& bytes) {
  const pid_t child = fork();
  if (child == 0) {
    use_up_heap();
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
  if (kSanitized) GTEST_SKIP() << "sanitizers map memory of their own";
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

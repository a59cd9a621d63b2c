#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "cli/omp_policy.h"

namespace lithe::cli {
namespace {

// at::parallel_for is inlined: in a file compiled without -fopenmp it silently runs on one thread.
TEST(OpenMp, ParallelForRunsOnTwoThreads) {
  const int threads_before = at::get_num_threads();
  at::set_num_threads(2);
  std::mutex mutex;
  std::set<std::thread::id> ids;
  at::parallel_for(0, 2, 1, [&](int64_t, int64_t) {
    const std::lock_guard lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  at::set_num_threads(threads_before);
  EXPECT_EQ(ids.size(), 2u);
}

// Two copies of libgomp (the compiler's and the wheel's) would each keep a pool of threads.
TEST(OpenMp, OneLibgompIsMapped) {
  std::ifstream maps("/proc/self/maps");
  std::set<std::string> copies;
  for (std::string line; std::getline(maps, line);) {
    const auto path = line.find('/');
    if (path != std::string::npos && line.find("libgomp", path) != std::string::npos) copies.insert(line.substr(path));
  }
  ASSERT_EQ(copies.size(), 1u);
  EXPECT_NE(copies.begin()->find("torch/lib"), std::string::npos) << *copies.begin();
}

// What libgomp says it read when this program is started with `environment` (arguments of env(1)).
std::string display_environment(const std::string& environment) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command = "env " + environment + " OMP_DISPLAY_ENV=TRUE '" + self + "' --gtest_list_tests 2>&1";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string text;
  std::array<char, 4096> buffer;
  while (const size_t count = fread(buffer.data(), 1, buffer.size(), pipe.get())) text.append(buffer.data(), count);
  return text;
}

TEST(OmpPolicy, ThreadsWaitPassivelyUnlessToldOtherwise) {
  EXPECT_FALSE(omp_wait_policy().empty());
  const std::string by_default = display_environment("-u OMP_WAIT_POLICY");
  EXPECT_NE(by_default.find("OMP_WAIT_POLICY = 'PASSIVE'"), std::string::npos) << by_default;
  const std::string chosen = display_environment("OMP_WAIT_POLICY=active");
  EXPECT_NE(chosen.find("OMP_WAIT_POLICY = 'ACTIVE'"), std::string::npos) << chosen;
}

}  // namespace
}  // namespace lithe::cli

// Messages between GPUs, through a library that does in this process what NCCL does between cards
// (tests/tune/nccl/fake_nccl.cpp). What only a GPU has, streams and their order, is not tested here.
#include "tune/nccl.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <numeric>
#include <thread>

#include "base/error.h"
#include "sentence_of.h"
#include "temporary_folder.h"
#include "tune/exchange.h"
#include "tune/ranks.h"

namespace lithe::tune {
namespace {

using lithe::test::sentence_of;

constexpr const char* kFake = LITHE_FAKE_NCCL;

/// Calls test(rank) in a thread for each rank, and hands on what one of them throws.
template <class Test>
void on_ranks(int64_t size, const Test& test) {
  std::vector<std::future<void>> ranks;
  for (int64_t rank = 0; rank < size; ++rank)
    ranks.push_back(std::async(std::launch::async, [&, rank] { test(rank); }));
  for (std::future<void>& rank : ranks) rank.get();
}

void wait_for(Nccl& nccl) {
  while (!nccl.done()) std::this_thread::yield();
}

TEST(Nccl, GivesEveryRankTheSumAndTheValuesOfOne) {
  const auto library = Nccl::open(kFake);
  const std::vector<uint8_t> group = Nccl::new_group(*library);
  on_ranks(3, [&](int64_t rank) {
    Nccl nccl(library, group, rank, 3, at::kCPU);
    std::vector<float> values(5);
    std::iota(values.begin(), values.end(), static_cast<float>(rank));
    nccl.sum(values);
    wait_for(nccl);
    EXPECT_EQ(values, (std::vector<float>{3, 6, 9, 12, 15}));
    values.assign(4, static_cast<float>(rank));
    nccl.share(values, 2);
    wait_for(nccl);
    EXPECT_EQ(values, std::vector<float>(4, 2.0f));
  });
}

TEST(Nccl, SaysWhyTheLibraryCannotBeUsed) {
  const std::string missing = sentence_of([] { Nccl::open("libno-such-nccl.so.2"); });
  EXPECT_NE(missing.find("libno-such-nccl.so.2: cannot open"), std::string::npos) << missing;
  EXPECT_NE(missing.find("run `make setup GPU=1`"), std::string::npos) << missing;
  const std::string other = sentence_of([] { Nccl::open("libz.so.1"); });
  EXPECT_NE(other.find("\"libz.so.1\" lacks the function ncclGetUniqueId"), std::string::npos) << other;
}

TEST(Nccl, SaysWhatTheLibrarySays) {
  const auto library = Nccl::open(kFake);
  const std::vector<uint8_t> group = Nccl::new_group(*library);
  std::atomic<int> refused = 0;
  on_ranks(2, [&](int64_t rank) {
    Nccl nccl(library, group, rank, 2, at::kCPU);
    std::vector<float> values(static_cast<size_t>(3 + rank));
    const std::string said = sentence_of([&] {
      nccl.sum(values);
      wait_for(nccl);
    });
    EXPECT_NE(said.find("NCCL can't exchange numbers between the GPUs: "), std::string::npos) << said;
    EXPECT_NE(said.find("(the fake's last error)"), std::string::npos) << said;
    refused += said.find("invalid argument") != std::string::npos;
  });
  EXPECT_EQ(refused, 1) << "the other hears of it";
}

/// Two ranks in this process, met in a folder of the test.
class RanksOverNccl : public ::testing::Test {
 protected:
  Ranks meet(int64_t rank) const { return Ranks::meet({.rank = rank, .size = 2}, folder_.path()); }

  lithe::test::TemporaryFolder folder_;
};

TEST_F(RanksOverNccl, ExchangeWhatTheyExchangeOverGloo) {
  on_ranks(2, [&](int64_t rank) {
    const Ranks ranks = meet(rank);
    for (const bool by_nccl : {false, true}) {
      if (by_nccl) ranks.use_gpu("cpu", kFake);
      const Tensor large = at::arange(1 << 19, at::kFloat) * (rank + 1), small = at::ones({3}, at::kFloat) * rank;
      ranks.begin_sum(numbers_of(large));
      ranks.begin_sum(numbers_of(small));
      ranks.finish();
      EXPECT_TRUE(large.equal(at::arange(1 << 19, at::kFloat) * 3)) << by_nccl;
      EXPECT_TRUE(small.equal(at::ones({3}, at::kFloat))) << by_nccl;
      const Tensor mine = at::ones({1 << 19}, at::kFloat) * rank, other = at::ones({7}, at::kFloat) * (10 + rank);
      share_values(ranks, {{mine, 1}, {other, 0}});
      EXPECT_TRUE(mine.equal(at::ones({1 << 19}, at::kFloat))) << by_nccl;
      EXPECT_TRUE(other.equal(at::ones({7}, at::kFloat) * 10)) << by_nccl;
      double host = static_cast<double>(rank);
      ranks.sum({&host, 1});
      EXPECT_EQ(host, 1);
    }
  });
}

TEST_F(RanksOverNccl, EndWithTheSentenceOfARankWhoseLibraryIsMissing) {
  on_ranks(2, [&](int64_t rank) {
    const Ranks ranks = meet(rank);
    const std::string said = sentence_of([&] {
      try {
        ranks.use_gpu("cpu", rank == 0 ? kFake : "libno-such-nccl.so.2");
      } catch (const Error& error) {
        ranks.failed(error.what());
        throw;
      }
    });
    EXPECT_NE(said.find("libno-such-nccl.so.2"), std::string::npos) << said;
  });
}

/// NCCL itself would wait for ever.
TEST_F(RanksOverNccl, EndWithTheSentenceOfARankThatFailsAfterTheyHaveConnected) {
  on_ranks(2, [&](int64_t rank) {
    const Ranks ranks = meet(rank);
    ranks.use_gpu("cpu", kFake);
    if (rank == 1) return ranks.failed("the loss is not a number");
    const Tensor values = at::ones({8}, at::kFloat);
    const std::string said = sentence_of([&] {
      ranks.begin_sum(numbers_of(values));
      ranks.begin_sum(numbers_of(values));
      ranks.finish();
    });
    EXPECT_NE(said.find("the loss is not a number"), std::string::npos) << said;
  });
}

TEST(Nccl, AnAbandonedGroupFailsForTheOthers) {
  const auto library = Nccl::open(kFake);
  const std::vector<uint8_t> group = Nccl::new_group(*library);
  on_ranks(2, [&](int64_t rank) {
    Nccl nccl(library, group, rank, 2, at::kCPU);
    if (rank == 1) return nccl.abandon();
    std::vector<float> values(4);
    const std::string said = sentence_of([&] {
      nccl.sum(values);
      wait_for(nccl);
    });
    EXPECT_NE(said.find("remote error"), std::string::npos) << said;
    EXPECT_NE(sentence_of([&] { nccl.abandon(), nccl.sum(values); }).find("has ended"), std::string::npos);
  });
}

}  // namespace
}  // namespace lithe::tune

#include "tune/launch.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"

namespace lithe::tune {
namespace {

Launch launch_in(const std::map<std::string, std::string>& variables) {
  return read_launch([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string refusal_of(const std::map<std::string, std::string>& variables) {
  try {
    launch_in(variables);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Launch, AProcessThatNobodyStartedIsAlone) {
  const Launch launch = launch_in({{"MASTER_ADDR", "left-over"}});
  EXPECT_EQ(launch.rank, 0);
  EXPECT_EQ(launch.size, 1);
  EXPECT_TRUE(launch.address.empty());
}

TEST(Launch, WaitsForTheOthersForAMinuteUnlessTold) {
  EXPECT_EQ(launch_in({{"RANK", "0"}, {"WORLD_SIZE", "2"}}).patience, std::chrono::seconds(60));
  EXPECT_EQ(launch_in({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"LITHE_MEETING_SECONDS", "600"}}).patience,
            std::chrono::seconds(600));
  EXPECT_NE(
      refusal_of({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"LITHE_MEETING_SECONDS", "soon"}}).find("LITHE_MEETING_SECONDS"),
      std::string::npos);
}

TEST(Launch, ReadsEveryLauncher) {
  const std::pair<const char*, const char*> launchers[] = {{"RANK", "WORLD_SIZE"},
                                                           {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                                           {"PMI_RANK", "PMI_SIZE"},
                                                           {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}};
  for (const auto& [rank, size] : launchers) {
    const Launch launch = launch_in({{rank, "2"}, {size, "3"}});
    EXPECT_EQ(launch.rank, 2) << rank;
    EXPECT_EQ(launch.size, 3) << rank;
  }
}

TEST(Launch, KnowsItsPlaceOnTheMachine) {
  const auto local_rank_in = [](const std::map<std::string, std::string>& variables) {
    return read_local_rank([&](const char* name) -> const char* {
      const auto found = variables.find(name);
      return found == variables.end() ? nullptr : found->second.c_str();
    });
  };
  for (const char* name : {"LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"})
    EXPECT_EQ(local_rank_in({{name, "3"}}), 3) << name;
  EXPECT_EQ(local_rank_in({}), 0);
  EXPECT_EQ(local_rank_in({{"PMI_RANK", "5"}, {"PMI_SIZE", "8"}, {"SLURM_LOCALID", "1"}}), 1) << "srun --mpi=pmi2";
  EXPECT_EQ(local_rank_in({{"LOCAL_RANK", "2"}, {"SLURM_LOCALID", "0"}}), 2) << "torchrun under srun";
  EXPECT_THROW(local_rank_in({{"LOCAL_RANK", "-1"}}), Error);
}

/// A batch script of Slurm runs once, whatever it asked for.
TEST(Launch, ABatchScriptOfSlurmIsAlone) {
  EXPECT_EQ(launch_in({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}).size, 1);
}

TEST(Launch, TorchrunHoldsTheStoreItself) {
  const Launch launch = launch_in({{"RANK", "1"},
                                   {"WORLD_SIZE", "2"},
                                   {"MASTER_ADDR", "node-7"},
                                   {"MASTER_PORT", "4711"},
                                   {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                                   {"TORCHELASTIC_RESTART_COUNT", "1"}});
  EXPECT_EQ(launch.address, "node-7");
  EXPECT_EQ(launch.port, 4711);
  EXPECT_TRUE(launch.store_is_there);
  EXPECT_EQ(launch.attempt, "1");
  EXPECT_EQ(launch_in({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "node-7"}}).port, 29500);
}

TEST(Launch, NamesWhatIsWrong) {
  EXPECT_NE(refusal_of({{"WORLD_SIZE", "2"}}).find("lacks RANK"), std::string::npos);
  EXPECT_NE(refusal_of({{"RANK", "2"}, {"WORLD_SIZE", "2"}}).find("RANK=\"2\""), std::string::npos);
  EXPECT_NE(refusal_of({{"RANK", "0"}, {"WORLD_SIZE", "many"}}).find("WORLD_SIZE=\"many\""), std::string::npos);
  EXPECT_NE(
      refusal_of({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "0"}}).find("MASTER_PORT"),
      std::string::npos);
}

}  // namespace
}  // namespace lithe::tune

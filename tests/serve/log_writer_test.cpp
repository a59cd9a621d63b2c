#include "serve/log_writer.h"

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <vector>

#include "serve/support.h"

namespace lithe::serve {
namespace {

using std::chrono::minutes;

/// A sink that takes its first line only when it is let.
class StalledSink {
 public:
  LogWriter::Sink sink() {
    return [shared = shared_](const std::string& line) {
      shared->released.wait();
      const std::lock_guard lock(shared->mutex);
      shared->lines.push_back(line);
    };
  }
  void release() { shared_->release.set_value(); }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->lines;
  }

 private:
  struct Shared {
    std::promise<void> release;
    std::shared_future<void> released = release.get_future().share();
    std::mutex mutex;
    std::vector<std::string> lines;
  };
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();  // also of a thread that outlives the writer
};

TEST(LogWriter, HandsOverLinesInOrder) {
  std::vector<std::string> lines, expected;
  LogWriter writer([&lines](const std::string& line) { lines.push_back(line); });
  for (int i = 0; i < 1000; ++i) {
    expected.push_back(std::to_string(i));
    writer.write(expected.back());
  }
  writer.end(minutes(2));
  EXPECT_EQ(lines, expected);
  writer.write("late");
  EXPECT_EQ(lines.size(), expected.size());
}

TEST(LogWriter, DropsAndCountsWhatASinkDoesNotTake) {
  StalledSink stalled;
  LogWriter writer(stalled.sink());
  const std::string line = std::string(999, 'x') + "\n";
  constexpr std::size_t kLines = 3 * LogWriter::kMostBytes / 1000;
  for (std::size_t i = 0; i < kLines; ++i) writer.write(line);
  stalled.release();
  writer.end(minutes(2));
  const std::vector<std::string> lines = stalled.lines();
  ASSERT_EQ(lines.size(), LogWriter::kMostBytes / 1000 + 1);
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) EXPECT_EQ(lines[i], line);
  const Json note = parse_json(lines.back(), "the last line");
  EXPECT_EQ(note.at("dropped_lines"), kLines + 1 - lines.size());
  EXPECT_TRUE(note.contains("time"));
}

TEST(LogWriter, LeavesASinkBehindThatNeverReturns) {
  StalledSink stalled;
  {
    LogWriter writer(stalled.sink());
    writer.write("a line");
    writer.end(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(stalled.lines().empty());
  stalled.release();
}

TEST(Log, ThatNobodyReadsHoldsUpNobody) {
  StalledSink stalled;
  ServerOptions options;
  options.log = stalled.sink();
  Running running(options);
  for (int i = 0; i < 20; ++i) ASSERT_EQ(get(running.port(), "/health").status, 200);
  EXPECT_EQ(post(running.port(), kChat, chat_body("is there a circle?")).status, 200);
  running.server().stop();
  running.join();  // though the sink still stalls
  EXPECT_TRUE(stalled.lines().empty());
  stalled.release();
}

}  // namespace
}  // namespace lithe::serve

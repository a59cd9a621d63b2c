#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <future>
#include <mutex>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace lithe {

/// Threads that work through tasks in the order in which they came. One thread begins them.
class WorkerPool {
 public:
  /// No thread starts before the first task.
  explicit WorkerPool(int64_t threads) : threads_(threads) {}
  /// Waits for the tasks that have begun; the others are dropped.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// What `make` returns or throws. Throws std::system_error if not even one thread can start.
  template <class Make>
  std::future<std::invoke_result_t<Make&>> begin(Make make) {
    std::packaged_task<std::invoke_result_t<Make&>()> task(std::move(make));
    auto coming = task.get_future();
    add(Task([task = std::move(task)]() mutable { task(); }));
    return coming;
  }

 private:
  using Task = std::packaged_task<void()>;
  void add(Task task);
  void add_worker();
  void work(const std::stop_token& end);

  const int64_t threads_;
  std::mutex mutex_;
  std::condition_variable_any more_;
  std::deque<Task> tasks_;
  std::vector<std::jthread> workers_;
};

}  // namespace lithe

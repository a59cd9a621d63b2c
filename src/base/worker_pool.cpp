#include "base/worker_pool.h"

#include <system_error>

namespace lithe {

WorkerPool::~WorkerPool() {
  for (std::jthread& worker : workers_) worker.request_stop();
}

void WorkerPool::add(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  more_.notify_one();
  add_worker();
}

/// If no further thread can start, the others do the work.
void WorkerPool::add_worker() {
  if (static_cast<int64_t>(workers_.size()) >= threads_) return;
  try {
    workers_.emplace_back([this](const std::stop_token& end) { work(end); });
  } catch (const std::system_error&) {
    if (workers_.empty()) throw;
  }
}

void WorkerPool::work(const std::stop_token& end) {
  while (true) {
    std::unique_lock lock(mutex_);
    if (!more_.wait(lock, end, [this] { return !tasks_.empty(); }) || end.stop_requested()) return;
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
  }
}

}  // namespace lithe

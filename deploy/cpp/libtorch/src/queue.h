#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace baimu {

/// Between one who brings items and one who takes them in batches, in the order they came. A batch is ready when it
/// holds `most` items, when the oldest of them has waited for `patience`, or when no more will come.
template <class Item>
class BatchQueue {
 public:
  using Clock = std::chrono::steady_clock;

  BatchQueue(std::size_t most, std::chrono::milliseconds patience) : most_(most), patience_(patience) {}

  /// Waits while two batches lie here; returns false when nobody takes any more.
  bool push(Item item) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return waiting_.size() < 2 * most_ || closed_; });
    if (closed_) return false;
    waiting_.emplace_back(Clock::now(), std::move(item));
    changed_.notify_all();
    return true;
  }

  void close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

  /// Empty only at the end.
  std::vector<Item> pop() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return !waiting_.empty() || closed_; });
    if (!waiting_.empty()) {
      const auto due = waiting_.front().first + patience_;
      changed_.wait_until(lock, due, [this] { return waiting_.size() >= most_ || closed_; });
    }
    std::vector<Item> batch;
    while (!waiting_.empty() && batch.size() < most_) {
      batch.push_back(std::move(waiting_.front().second));
      waiting_.pop_front();
    }
    changed_.notify_all();
    return batch;
  }

 private:
  const std::size_t most_;
  const std::chrono::milliseconds patience_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<Clock::time_point, Item>> waiting_;
  bool closed_ = false;
};

}  // namespace baimu

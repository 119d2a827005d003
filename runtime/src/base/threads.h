// A pool of threads. Each gets a fixed range of the work.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace larq_reactnet_runtime {

class Threads {
 public:
  explicit Threads(int count);
  ~Threads();

  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  int count() const { return count_; }

  // Divides `items` into a range for each thread, calls `work(thread, first, last)` in each thread
  // whose range is not empty, and waits for all of them. The length of each range but the last is a
  // multiple of `unit`. `work` must not throw.
  void Run(int64_t items, int64_t unit,
           const std::function<void(int thread, int64_t first, int64_t last)>& work);

 private:
  struct Range {
    int64_t items = 0, unit = 1;
    const std::function<void(int, int64_t, int64_t)>* work = nullptr;
  };

  template <class Done>
  void Spin(Done done) const;
  void Loop(int thread);
  void RunRange(const Range& range, int thread) const;
  void Stop();

  const int count_;
  const bool spins_;  // whether there is a processor for each thread
  std::vector<std::thread> threads_;
  std::mutex one_caller_;  // in case several interpreters use one delegate
  std::mutex mutex_;
  std::condition_variable started_, finished_;
  Range range_;
  // Changed only with `mutex_` held; threads that spin read them without it.
  std::atomic<uint32_t> round_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> stops_{false};
};

}  // namespace larq_reactnet_runtime

// A pool of threads that share work by fixed ranges.
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

  // Calls `work(thread, first, last)` for a range of `items` in each thread that gets any, and
  // waits for all. Ranges are multiples of `unit` items, except the last. `work` must not throw.
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
  std::mutex one_caller_;  // several interpreters may use one delegate
  std::mutex mutex_;
  std::condition_variable started_, finished_;
  Range range_;
  // Changed with `mutex_` held; read without it by those who spin.
  std::atomic<uint64_t> round_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> stops_{false};
};

}  // namespace larq_reactnet_runtime

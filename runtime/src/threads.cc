// A pool of threads. The ranges depend on nothing but the number of threads.
#include "threads.h"

#include <algorithm>

namespace larq_reactnet_runtime {

Threads::Threads(int count) : count_(count) {
  try {
    for (int thread = 1; thread < count; ++thread) {
      threads_.emplace_back([this, thread] { Loop(thread); });
    }
  } catch (...) {  // the system has no more threads
    Stop();
    throw;
  }
}

Threads::~Threads() { Stop(); }

void Threads::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stops_ = true;
  }
  started_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Threads::Run(int64_t items, int64_t unit,
                  const std::function<void(int, int64_t, int64_t)>& work) {
  const Range range{items, unit, &work};
  if (count_ == 1 || items <= unit) {
    if (items > 0) work(0, 0, items);
    return;
  }
  const std::lock_guard<std::mutex> only(one_caller_);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    range_ = range;
    busy_ = count_ - 1;
    ++round_;
  }
  started_.notify_all();
  RunRange(range, 0);
  std::unique_lock<std::mutex> lock(mutex_);
  finished_.wait(lock, [this] { return busy_ == 0; });
}

void Threads::Loop(int thread) {
  uint64_t seen = 0;
  while (true) {
    Range range;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      started_.wait(lock, [this, seen] { return stops_ || round_ != seen; });
      if (stops_) return;
      seen = round_;
      range = range_;
    }
    RunRange(range, thread);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      --busy_;
    }
    finished_.notify_one();
  }
}

void Threads::RunRange(const Range& range, int thread) const {
  const int64_t units = (range.items + range.unit - 1) / range.unit;
  const int64_t first = units * thread / count_ * range.unit;
  const int64_t last = std::min(range.items, units * (thread + 1) / count_ * range.unit);
  if (first < last) (*range.work)(thread, first, last);
}

}  // namespace larq_reactnet_runtime

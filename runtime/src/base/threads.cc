// A pool of threads. The ranges depend on the work and on the number of threads, and on nothing
// else.
#include "base/threads.h"

#include <algorithm>
#include <chrono>

namespace larq_reactnet_runtime {
namespace {

// How long a thread waits awake before it sleeps. To sleep and to be woken up takes longer than
// most of the interpreter's operators that run between two of ours.
constexpr std::chrono::microseconds kSpin{50};
constexpr int kTries = 64;  // between two looks at the clock

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__ARM_ARCH) && __ARM_ARCH >= 7
  asm volatile("yield");
#endif
}

}  // namespace

Threads::Threads(int count)
    : count_(count), spins_(static_cast<unsigned>(count) <= std::thread::hardware_concurrency()) {
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

// Waits until `done`, but only for a short while, and without sleeping.
template <class Done>
void Threads::Spin(Done done) const {
  if (!spins_) return;
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < kTries; ++i) {
      if (done()) return;
      Pause();
    }
  } while (std::chrono::steady_clock::now() < end);
}

void Threads::Run(int64_t items, int64_t unit,
                  const std::function<void(int, int64_t, int64_t)>& work) {
  Range range;
  range.items = items;
  range.unit = unit;
  range.work = &work;
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
  Spin([this] { return busy_ == 0; });
  std::unique_lock<std::mutex> lock(mutex_);
  finished_.wait(lock, [this] { return busy_ == 0; });
}

void Threads::Loop(int thread) {
  uint32_t seen = 0;
  while (true) {
    Range range;
    Spin([this, seen] { return stops_ || round_ != seen; });
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

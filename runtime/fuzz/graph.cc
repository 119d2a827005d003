// Fuzzes all that the library does with a graph: what it claims and joins, how it is prepared,
// resized and run. An input is a network (network.h), some damage to it, and what is done with it.
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>

#include "bytes.h"
#include "interpreter.h"
#include "network.h"
#include "tflite/exports.h"

namespace {

// Whether large blocks are refused, so that absurd sizes are an error that is handled, and not the
// end of the fuzzer. It is off while the fuzzer itself works, which gets its memory here too.
bool has_little_memory = false;

void* Allocate(size_t size, size_t alignment) {
  constexpr size_t kMost = 1 << 22;
  void* memory = nullptr;
  if ((has_little_memory && size > kMost) ||
      posix_memalign(&memory, alignment, size == 0 ? 1 : size) != 0) {
    throw std::bad_alloc();
  }
  return memory;
}

}  // namespace

void* operator new(size_t size) { return Allocate(size, sizeof(void*)); }
void* operator new[](size_t size) { return Allocate(size, sizeof(void*)); }
void* operator new(size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }

// libFuzzer's own memory comes from an operator that is not among these.
extern "C" const char* __asan_default_options() { return "alloc_dealloc_mismatch=0"; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace larq_reactnet_runtime;
  using namespace larq_reactnet_runtime::fuzz;
  Bytes bytes(data, size);
  const int setup = bytes.Byte();
  const char* isas[] = {"auto", "portable", "avx2", "avx512"};
  const char* keys[] = {"isa", "num_threads", "fuse"};
  const char* values[] = {isas[setup & 3], (setup & 28) == 28 ? "3" : "1", setup & 32 ? "0" : "1"};
  TfLiteDelegate* delegate = tflite_plugin_create_delegate(keys, values, 3, nullptr);
  if (delegate == nullptr) return -1;  // a machine without that instruction set
  FakeGraph graph = MakeNetwork(&bytes);
  for (int left = bytes.Below(4); left > 0; --left) Damage(&bytes, &graph);
  has_little_memory = true;
  {
    FakeInterpreter interpreter(graph);
    if (interpreter.SetDelegate(delegate) && interpreter.Allocate()) {
      interpreter.Invoke();
      for (int left = bytes.Below(3); left > 0; --left) {
        const int tensor = bytes.Below(graph.tensors.size());
        std::vector<int> shape = graph.tensors[static_cast<size_t>(tensor)].shape;
        for (int& side : shape) {
          if (bytes.Below(3) == 2) side = AnySize(&bytes);
        }
        interpreter.Resize(tensor, shape);
        // Without new memory it must refuse to run.
        if (bytes.Below(2) == 0 && !interpreter.Allocate()) break;
        interpreter.Invoke();
      }
    }
  }
  has_little_memory = false;
  tflite_plugin_destroy_delegate(delegate);
  return 0;
}

// An interpreter of which the library is a delegate, with structs of its own: as TensorFlow Lite has
// them, or with a field put in somewhere or left out. Built by test_stranger.py, once for each:
//   stranger liblarq_reactnet_runtime.so
// prints what the interpreter is told, and whether the library claims the one operator it has.
#include <dlfcn.h>
#include <sys/mman.h>

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>

#define CHANGE_NONE 0
#define CHANGE_TENSOR_TYPE 1          // a field behind the type of a tensor
#define CHANGE_TENSOR_END 2           // a field at the end of a tensor: arrays of them are longer
#define CHANGE_TENSOR_SPARSITY 3      // a tensor without its field for sparsity
#define CHANGE_NODE_BEGIN 4           // a field in front of the inputs of a node
#define CHANGE_NODE_INTERMEDIATES 5   // a node without its intermediates
#define CHANGE_NODE_DATA 6            // a field in front of the options of a custom operator
#define CHANGE_REGISTRATION_CODE 7    // a function in front of the code of an operator
#define CHANGE_CONTEXT_BEGIN 8        // a field in front of the tensors
#define CHANGE_CONTEXT_FUNCTION 9     // a function in front of the others
#define CHANGE_ENDS 10                // fields at the ends of what has no arrays, as it happens

struct Context;
struct Array {
  int size;
  int data[4];
};
struct Quantization {
  int type;
  void* params;
};
struct Tensor {
  int type;
#if CHANGE == CHANGE_TENSOR_TYPE
  void* added;
#endif
  void* data;
  Array* dims;
  float scale;
  int32_t zero_point;
  int allocation_type;
  size_t bytes;
  const void* allocation;
  const char* name;
  void* delegate;
  int buffer_handle;
  bool data_is_stale;
  bool is_variable;
  Quantization quantization;
#if CHANGE != CHANGE_TENSOR_SPARSITY
  void* sparsity;
#endif
  const Array* dims_signature;
#if CHANGE == CHANGE_TENSOR_END
  void* added;
#endif
};
struct Node {
#if CHANGE == CHANGE_NODE_BEGIN
  void* added;
#endif
  Array* inputs;
  Array* outputs;
#if CHANGE != CHANGE_NODE_INTERMEDIATES
  Array* intermediates;
#endif
  Array* temporaries;
  void* user_data;
  void* builtin_data;
#if CHANGE == CHANGE_NODE_DATA
  void* added;
#endif
  const void* custom_initial_data;
  int custom_initial_data_size;
  void* delegate;
  bool might_have_side_effect;
#if CHANGE == CHANGE_ENDS
  void* added[4];
#endif
};
struct Registration {
  void* functions[5];
#if CHANGE == CHANGE_REGISTRATION_CODE
  void* added;
#endif
  int32_t builtin_code;
  const char* custom_name;
  int version;
  void* registration_external;
  void* async_kernel;
  uint64_t inplace_operator;
#if CHANGE == CHANGE_ENDS
  void* added;
#endif
};
struct GivenRegistration {  // as the library gives it
  void* functions[5];
  int32_t builtin_code;
  const char* custom_name;
  int version;
  void* others[7];
};
struct Context {
#if CHANGE == CHANGE_CONTEXT_BEGIN
  size_t added;
#endif
  size_t tensors_size;
  int (*GetExecutionPlan)(Context*, Array**);
  Tensor* tensors;
  void* impl;
#if CHANGE == CHANGE_CONTEXT_FUNCTION
  void* added;
#endif
  int (*ResizeTensor)(Context*, Tensor*, Array*);
  void (*ReportError)(Context*, const char*, ...);
  int (*AddTensors)(Context*, int, int*);
  int (*GetNodeAndRegistration)(Context*, int, Node**, Registration**);
  int (*ReplaceNodeSubsetsWithDelegateKernels)(Context*, GivenRegistration, const Array*, void*);
  int recommended_num_threads;
  void* unused[9];
  void* PreviewDelegatePartitioning;
#if CHANGE == CHANGE_ENDS
  void* ends[8];
#endif
};
struct Delegate {
  void* data;
  int (*Prepare)(Context*, Delegate*);
};

static Array plan = {1, {0}}, inputs = {1, {0}}, outputs = {1, {1}}, none = {0, {}};
static Array image = {4, {1, 2, 2, 32}}, bits = {4, {1, 2, 2, 1}}, vector = {1, {3}};
static float weights[3];
constexpr int kOptionsSize = 4;
static Tensor tensors[4];
static Node node;
static Registration registration;

static int GetPlan(Context*, Array** found) { return *found = &plan, 0; }
static int Resize(Context*, Tensor*, Array*) { return 0; }
static int Add(Context*, int, int*) { return 1; }
static int GetNode(Context*, int, Node** a, Registration** b) {
  return *a = &node, *b = &registration, 0;
}
static int Replace(Context*, GivenRegistration, const Array* nodes, void*) {
  return std::printf("claims %d\n", nodes->size), 0;
}
static void Report(Context*, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vprintf(format, arguments);
  va_end(arguments);
  std::printf("\n");
}

// The options of the operator, where half of their address is a small number: read by the wrong
// layout, it is the least conspicuous.
static unsigned char* Options() {
  void* const where = reinterpret_cast<void*>(sizeof(void*) == 8 ? uintptr_t{1} << 32 : 0);
  void* const page =
      mmap(where, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  unsigned char* const options = static_cast<unsigned char*>(page) + 256;
  for (int i = 0; i < kOptionsSize; ++i) options[i] = static_cast<unsigned char>(16 * (i + 1));
  return options;
}

int main(int, char** arguments) {
  Array* const shapes[] = {&image, &bits, &vector, &vector};
  const int types[] = {1, 2, 1, 1};  // float32 and int32
  const char* const names[] = {"input", "output", "first", "second"};
  for (int i = 0; i < 4; ++i) {
    size_t bytes = 4;
    for (int j = 0; j < shapes[i]->size; ++j) bytes *= static_cast<size_t>(shapes[i]->data[j]);
    tensors[i].type = types[i];
    tensors[i].dims = shapes[i];
    tensors[i].bytes = bytes;
    tensors[i].name = names[i];
    tensors[i].buffer_handle = -1;
    tensors[i].allocation_type = i < 2 ? 2 : 1;  // of the arena, or constant
    if (i >= 2) tensors[i].data = weights;
  }
  node.inputs = &inputs;
  node.outputs = &outputs;
  node.temporaries = &none;
#if CHANGE != CHANGE_NODE_INTERMEDIATES
  node.intermediates = &none;
#endif
  node.custom_initial_data = Options();
  node.custom_initial_data_size = kOptionsSize;
  registration.builtin_code = 32;  // a custom operator
  registration.custom_name = "LceQuantize";
  registration.version = 1;
  Context context{};
  context.tensors_size = 4;
  context.tensors = tensors;
  context.impl = &context;
  context.GetExecutionPlan = GetPlan;
  context.ResizeTensor = Resize;
  context.ReportError = Report;
  context.AddTensors = Add;
  context.GetNodeAndRegistration = GetNode;
  context.ReplaceNodeSubsetsWithDelegateKernels = Replace;

  void* library = dlopen(arguments[1], RTLD_NOW);
  if (library == nullptr) return std::fprintf(stderr, "%s\n", dlerror()), 2;
  using Create = Delegate* (*)(const char* const*, const char* const*, size_t, void*);
  const auto create = reinterpret_cast<Create>(dlsym(library, "tflite_plugin_create_delegate"));
  Delegate* delegate = create(nullptr, nullptr, 0, nullptr);
  return delegate->Prepare(&context, delegate);
}

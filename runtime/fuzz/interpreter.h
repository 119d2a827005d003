// Imitates TensorFlow Lite's interpreter as far as a delegate sees it. It does not check files:
// nodes and tensors may be absurd. Each tensor is a block of the heap of exactly its size, so that
// AddressSanitizer sees what is read beside it.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "tflite/abi.h"

namespace larq_reactnet_runtime::fuzz {

struct FakeTensor {
  std::vector<int> shape;
  TfLiteType type = kTfLiteFloat32;
  bool is_constant = false;
  bool is_variable = false;
  bool is_sparse = false;
  bool has_shape = true;
  bool has_data = true;  // of a constant
  size_t missing = 0;    // how many bytes fewer a constant has than its shape says
  size_t unaligned = 0;  // where in a word a constant starts
  uint32_t seed = 0;     // of its values
  bool is_quantized = false;
  float scale = 0;
  int zero_point = 0;
};

struct FakeNode {
  std::vector<int> inputs, outputs;
  std::string name;  // of a custom operator
  int builtin = 0;   // the code of a builtin operator, if there is no name
  bool has_parameters = true;
  std::array<int, 2> parameters = {};  // an activation; of a concatenation its axis comes first
  std::vector<uint8_t> options;
  bool has_options = true;
};

struct FakeGraph {
  std::vector<FakeTensor> tensors;
  std::vector<FakeNode> nodes;  // in their order
  std::vector<int> outputs;
};

class FakeInterpreter {
 public:
  explicit FakeInterpreter(const FakeGraph& graph);
  ~FakeInterpreter();

  FakeInterpreter(const FakeInterpreter&) = delete;
  FakeInterpreter& operator=(const FakeInterpreter&) = delete;

  bool SetDelegate(TfLiteDelegate* delegate);
  // Lets the delegate's nodes say how large their outputs are, and makes memory.
  bool Allocate();
  // Runs the delegate's nodes. The outputs of other nodes stay as they are.
  bool Invoke();
  // Gives a tensor, such as an input, another shape. It gets memory for it from `Allocate`.
  void Resize(int tensor, const std::vector<int>& shape);

  // Sizes above which nothing is run.
  static constexpr size_t kMostBytes = 1 << 16;

 private:
  // An array of the interface: its size, and the numbers.
  using Array = std::vector<int>;

  struct Node {
    TfLiteNode node{};
    TfLiteRegistration registration{};
    Array inputs, outputs;
    std::vector<uint8_t> options;
    std::string name;
    std::array<int, 2> parameters = {};
    bool is_delegate = false;
  };

  struct Subset {
    bool is_replaced = false;
    Array nodes, inputs, outputs;  // without sizes in front
  };

  struct Params {
    TfLiteDelegateParams params{};
    Array nodes, inputs, outputs;
  };

  static FakeInterpreter* From(TfLiteContext* context) {
    return static_cast<FakeInterpreter*>(context->impl);
  }
  static TfLiteIntArray* AsArray(Array* array) {
    return reinterpret_cast<TfLiteIntArray*>(array->data());
  }
  bool Has(int tensor) const {
    return tensor >= 0 && static_cast<size_t>(tensor) < tensors_.size();
  }
  void AddTensor(const FakeTensor& tensor, size_t index);
  void AddNode(const FakeNode& node);
  void SetShape(size_t index, const std::vector<int>& shape);
  std::vector<Subset> Partition(const TfLiteIntArray& replaced) const;
  void Fill(Params* params, const Subset& subset, TfLiteDelegate* delegate) const;
  TfLiteStatus Replace(const TfLiteRegistration& registration, const TfLiteIntArray& nodes,
                       TfLiteDelegate* delegate);

  TfLiteContext context_{};
  std::vector<TfLiteTensor> tensors_;
  std::vector<Array> shapes_;
  std::vector<std::unique_ptr<unsigned char[]>> memory_;
  std::vector<bool> are_constants_;
  std::deque<Node> nodes_;
  Array plan_;  // with its size in front
  std::vector<int> outputs_;
  std::deque<Params> previews_;
  std::vector<TfLiteDelegateParams> preview_;
};

}  // namespace larq_reactnet_runtime::fuzz

// Operators of ours that are run one after the other, as one node of the interpreter's graph.
#pragma once

#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/profile.h"
#include "graph/fusion.h"
#include "kernels/kernel.h"
#include "ops/op.h"
#include "tflite/abi.h"

namespace larq_reactnet_runtime {

// Whether this is the name of an operator of LCE.
bool IsOurs(std::string_view name);

// An operator, and the tensors of the graph that it reads and writes: `added` and `signs` if other
// operators are joined to it. kNoTensor stands for tensors that it does not have, and for an output
// that nothing reads.
struct Step {
  std::unique_ptr<Op> op;
  int input = kNoTensor, output = kNoTensor;
  SlotTensors added;
  int twice = 0;  // see Chain
  int signs = kNoTensor;
  int node = -1;
  std::vector<int> joined;  // the nodes that run in it, `node` first
};

// Makes the operator of a node, or gives the reason why it cannot be run as the file describes it.
// `chain` is the chain that begins with it, or null.
Reason MakeStep(const TfLiteContext& context, const TfLiteNode& node, std::string_view name,
                const Kernel& kernel, const Chain* chain, Step* step);

// The interpreter gives no memory to tensors that only operators of one partition use, so they have
// theirs here.
class Partition {
 public:
  Reason Init(TfLiteContext* context, const TfLiteDelegateParams& params, const Kernel& kernel,
              const Chains& chains);
  Reason Prepare(TfLiteContext* context, int threads);
  // `profile` may be null.
  Reason Run(TfLiteContext* context, Threads* threads, Profile* profile) const;

 private:
  // Where the values of a tensor are, and how large it was in `Prepare`.
  struct Place {
    bool is_inside = false;
    Shape shape;
    size_t bytes = 0;
    Buffer<unsigned char> memory;
  };

  void ReadShape(const TfLiteContext& context, int tensor);
  Reason SetOutput(TfLiteContext* context, int tensor, const Shape& shape, Type type);
  void Measure(const Step& step, const Values& values, Threads* threads, Profile* profile) const;
  Reason Find(const TfLiteContext& context, int tensor, void** values) const;

  std::vector<Step> steps_;
  std::map<int, Place> places_;
};

}  // namespace larq_reactnet_runtime

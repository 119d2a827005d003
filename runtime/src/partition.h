// Operators of ours that follow each other, run as one node of the interpreter's graph.
#pragma once

#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "abi.h"
#include "buffer.h"
#include "kernels/kernel.h"
#include "op.h"

namespace larq_reactnet_runtime {

// Is this the name of an operator of LCE?
bool IsOurs(std::string_view name);

// An operator, and which tensors of the graph are its input and output.
struct Step {
  std::unique_ptr<Op> op;
  int input = -1, output = -1;
};

// Makes the operator of a node, or gives the reason why it cannot be run as the file describes it.
Reason MakeStep(const TfLiteContext& context, const TfLiteNode& node, std::string_view name,
                const Kernel& kernel, Step* step);

// Tensors between two operators of a partition get no memory from the interpreter: they have their
// own here.
class Partition {
 public:
  Reason Init(TfLiteContext* context, const TfLiteDelegateParams& params, const Kernel& kernel);
  Reason Prepare(TfLiteContext* context, int threads);
  Reason Run(TfLiteContext* context, Threads* threads) const;

 private:
  // Where the values of a tensor are, and how large it was in `Prepare`.
  struct Place {
    bool is_inside = false;
    Shape shape;
    size_t bytes = 0;
    Buffer<unsigned char> memory;
  };

  Reason Find(const TfLiteContext& context, int tensor, void** values) const;

  std::vector<Step> steps_;
  std::map<int, Place> places_;
};

}  // namespace larq_reactnet_runtime

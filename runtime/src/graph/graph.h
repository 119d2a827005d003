// The interpreter's graph, as far as it decides which operators are joined: what each node
// computes, and which tensors it reads and writes. The interpreter's own structs stay in tflite/.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "base/tensor.h"

namespace larq_reactnet_runtime {

// Stands for a tensor that does not exist, such as an optional input that is not given. Not 0: that
// is the index of a tensor.
inline constexpr int kNoTensor = -1;

enum class NodeKind { kBconv2d, kQuantize, kAdd, kPrelu, kConcatenation, kOther };

struct GraphNode {
  int index = -1;
  NodeKind kind = NodeKind::kOther;
  std::vector<int> inputs, outputs;
  bool has_no_activation = false;  // of kAdd and kConcatenation: whether nothing is fused to it
  int axis = 0;                    // of kConcatenation
};

struct GraphTensor {
  Shape shape;
  bool is_plain_float = false;  // float32 with a shape; not quantized, not sparse, not a variable
  bool is_constant = false;
  bool has_values = false;
  size_t bytes = 0;
};

struct Graph {
  std::vector<GraphTensor> tensors;
  std::map<int, GraphNode> nodes;
  // The nodes that read a tensor, with those twice that read it twice; how many nodes write it.
  std::map<int, std::vector<int>> readers;
  std::map<int, int> writers;

  bool Has(int tensor) const { return tensor >= 0 && static_cast<size_t>(tensor) < tensors.size(); }
  const GraphTensor& tensor(int index) const { return tensors[static_cast<size_t>(index)]; }
};

}  // namespace larq_reactnet_runtime

// The interpreter's graph for those who look for operators to join, and its answers to them.
#pragma once

#include <optional>
#include <vector>

#include "graph/graph.h"
#include "tflite/abi.h"

namespace larq_reactnet_runtime {

Graph ReadGraph(TfLiteContext* context);

// The tensors that others read of what some nodes write, if the interpreter would replace the nodes by
// exactly one; nothing if it would not, or does not say.
std::optional<std::vector<int>> PreviewPartition(TfLiteContext* context,
                                                 const std::vector<int>& nodes);

}  // namespace larq_reactnet_runtime

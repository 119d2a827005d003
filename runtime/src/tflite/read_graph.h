// Reads the interpreter's graph for graph/fusion.h, and asks the interpreter what fusion wants to
// know.
#pragma once

#include <optional>
#include <vector>

#include "graph/graph.h"
#include "tflite/abi.h"

namespace larq_reactnet_runtime {

Graph ReadGraph(TfLiteContext* context);

// Answers as a Preview of graph/fusion.h. An interpreter that cannot tell counts as one that would
// not replace the nodes by a single one.
std::optional<std::vector<int>> PreviewPartition(TfLiteContext* context,
                                                 const std::vector<int>& nodes);

}  // namespace larq_reactnet_runtime

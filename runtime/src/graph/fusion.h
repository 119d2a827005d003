// Decides which float operators are joined to a binary convolution, to run in its epilogue.
#pragma once

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "graph/graph.h"
#include "kernels/kernel.h"

namespace larq_reactnet_runtime {

// A tensor for each slot; kNoTensor where there is none, as in all slots at first.
struct SlotTensors {
  SlotTensors() { std::fill(std::begin(tensors), std::end(tensors), kNoTensor); }

  int& operator[](int slot) { return tensors[slot]; }
  int operator[](int slot) const { return tensors[slot]; }

  int tensors[kSlotCount];
};

// Nodes that are run as one operator: a binary convolution, the float operators that follow it, and
// LceQuantize, if it follows them. Of the tensors between them only the last float tensor may be
// read by other nodes.
struct Chain {
  std::vector<int> nodes;  // the convolution first
  SlotTensors operands;    // summands and slopes
  // The slots, as bits, of summands with half as many channels as the output: they are added to the
  // first half of its channels, and once more to the second half.
  int twice = 0;
  int output = kNoTensor;  // the last float tensor
  int signs = kNoTensor;   // of LceQuantize, if it is in the chain
};

// Chains by the node of their convolution.
using Chains = std::map<int, Chain>;

// Asks the interpreter whether it would replace some nodes by a single one. If so, gives those of
// the tensors written by them that other nodes read, or that are outputs of the model; otherwise
// nothing.
using Preview = std::function<std::optional<std::vector<int>>(const std::vector<int>& nodes)>;

// `claimed` are the nodes of the graph that are binary operators that can be run.
Chains FindChains(const Graph& graph, const std::set<int>& claimed, const Preview& preview);

}  // namespace larq_reactnet_runtime

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

// Nodes that are run as one: a binary convolution, float operators that follow it, and LceQuantize.
// Between them is nothing that another node reads, but for the last float tensor.
struct Chain {
  std::vector<int> nodes;  // the convolution first
  SlotTensors operands;    // summands and slopes
  int twice = 0;  // slots, as bits, of summands whose channels are added once and then once more
  int output = kNoTensor;  // the last float tensor
  int signs = kNoTensor;   // of LceQuantize, if it is in the chain
};

// Chains by the node of their convolution.
using Chains = std::map<int, Chain>;

// Asks the interpreter what it would make of some nodes if they were replaced. Gives the tensors that
// others read of what they write, if the nodes would become one node; nothing if they would not.
using Preview = std::function<std::optional<std::vector<int>>(const std::vector<int>& nodes)>;

// `claimed` are the nodes of the graph that are binary operators that can be run.
Chains FindChains(const Graph& graph, const std::set<int>& claimed, const Preview& preview);

}  // namespace larq_reactnet_runtime

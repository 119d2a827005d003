// How long each operator takes, for the option `profile`.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/tensor.h"

namespace larq_reactnet_runtime {

class Profile {
 public:
  // One operator, or a convolution with what is joined to it.
  struct Entry {
    std::string name;
    std::vector<int> nodes;  // of the graph, which run as this operator
    std::string kernel;      // the instruction set of its code
    Shape input, output;
    int64_t products = 0;                              // of two bits, in one run
    int64_t runs = 0, fastest = INT64_MAX, total = 0;  // in nanoseconds
  };

  // The entry of a node of the graph, with nothing in it at first.
  Entry* At(int node) { return &entries_[node]; }

  // Writes a row of names, and then a row for each operator in the order of the graph.
  Reason WriteCsv(const std::string& path) const;

 private:
  std::map<int, Entry> entries_;
};

}  // namespace larq_reactnet_runtime

// Writes how long each operator took.
#include "base/profile.h"

#include <cinttypes>
#include <cstdio>

#include "base/shape.h"

namespace larq_reactnet_runtime {

Reason Profile::WriteCsv(const std::string& path) const {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return "the profile cannot be written to " + path;
  bool is_written =
      std::fputs("node,operator,nodes,kernel,input,output,products,runs,fastest_ns,total_ns\n",
                 file) >= 0;
  for (const auto& [node, entry] : entries_) {
    std::string nodes;
    for (const int joined : entry.nodes) {
      nodes += (nodes.empty() ? "" : " ") + std::to_string(joined);
    }
    is_written &=
        std::fprintf(file,
                     "%d,%s,%s,%s,%s,%s,%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "\n", node,
                     entry.name.c_str(), nodes.c_str(), entry.kernel.c_str(),
                     Text(entry.input).c_str(), Text(entry.output).c_str(), entry.products,
                     entry.runs, entry.fastest, entry.total) >= 0;
  }
  is_written &= std::fclose(file) == 0;
  return is_written ? Reason() : "the profile could not be written to " + path;
}

}  // namespace larq_reactnet_runtime

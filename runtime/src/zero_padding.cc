// Padding with zeros: the corrections for each kind of output pixel.
#include "zero_padding.h"

#include <map>
#include <utility>

namespace larq_reactnet_runtime {
namespace {

using Range = std::pair<int, int>;  // of pixels of a filter that are inside

// The kind of each position along an axis, and the range of each kind.
std::vector<Range> Kinds(const Axis& axis, std::vector<size_t>* kinds) {
  std::vector<Range> ranges;
  std::map<Range, size_t> known;
  kinds->clear();
  for (int position = 0; position < axis.output; ++position) {
    const Range range(axis.First(position), axis.Last(position));
    const auto [entry, is_new] = known.emplace(range, ranges.size());
    if (is_new) ranges.push_back(range);
    kinds->push_back(entry->second);
  }
  return ranges;
}

// A pixel of n channels of which a filter is negative in b has a count of b, but zeros have n / 2.
std::vector<int32_t> CorrectionsOf(const Filters& filters, int filter, int channels) {
  std::vector<int32_t> corrections;
  for (int pixel = 0; pixel < filters.height() * filters.width(); ++pixel) {
    corrections.push_back(channels - 2 * filters.CountBits(filter, pixel));
  }
  return corrections;
}

}  // namespace

void ZeroPadding::Prepare(const Axis& rows, const Axis& columns, const Filters& filters,
                          int channels) {
  const std::vector<Range> row_ranges = Kinds(rows, &row_kinds_);
  const std::vector<Range> column_ranges = Kinds(columns, &column_kinds_);
  columns_ = column_ranges.size();
  places_ = filters.places();
  corrections_.Resize(row_ranges.size() * columns_ * places_);
  for (int filter = 0; filter < filters.groups() * filters.filters_of_group(); ++filter) {
    const std::vector<int32_t> pixels = CorrectionsOf(filters, filter, channels);
    int32_t* correction = corrections_.data() + filters.PlaceOf(filter);
    for (const Range& inside_rows : row_ranges) {
      for (const Range& inside_columns : column_ranges) {
        for (int i = 0; i < filters.height(); ++i) {
          const bool is_row = inside_rows.first <= i && i < inside_rows.second;
          for (int j = 0; j < filters.width(); ++j) {
            if (is_row && inside_columns.first <= j && j < inside_columns.second) continue;
            *correction += pixels[static_cast<size_t>(i * filters.width() + j)];
          }
        }
        correction += places_;
      }
    }
  }
}

}  // namespace larq_reactnet_runtime

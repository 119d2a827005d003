// Padding with zeros: the corrections for each kind of output pixel.
#include "ops/zero_padding.h"

#include <map>
#include <utility>

namespace larq_reactnet_runtime {
namespace {

using Range = std::pair<int, int>;  // of pixels of a filter, along one axis, that are on the image

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

// Gives the sum of the corrections of a filter's pixels over any rectangle of them. It is made of
// four sums over rectangles that begin at the first pixel, At(i, j) for i rows and j columns, so it
// takes no longer for a large window than for a small one.
class Sums {
 public:
  Sums(const Filters& filters, int filter, int channels)
      : width_(static_cast<size_t>(filters.width()) + 1),
        sums_((static_cast<size_t>(filters.height()) + 1) * width_) {
    for (int i = 0; i < filters.height(); ++i) {
      int32_t row = 0;
      for (int j = 0; j < filters.width(); ++j) {
        // If the filter is negative in b of n channels, it has b unequal bits; zeros count as half
        // of n.
        row += channels - 2 * filters.CountBits(filter, i * filters.width() + j);
        sums_[Place(i + 1, j + 1)] = At(i, j + 1) + row;
      }
    }
  }

  int32_t All() const { return sums_.back(); }
  int32_t Inside(const Range& rows, const Range& columns) const {
    return At(rows.second, columns.second) - At(rows.first, columns.second) -
           At(rows.second, columns.first) + At(rows.first, columns.first);
  }

 private:
  size_t Place(int i, int j) const {
    return static_cast<size_t>(i) * width_ + static_cast<size_t>(j);
  }
  int32_t At(int i, int j) const { return sums_[Place(i, j)]; }

  size_t width_;
  std::vector<int32_t> sums_;
};

}  // namespace

void ZeroPadding::Prepare(const Axis& rows, const Axis& columns, const Filters& filters,
                          int channels) {
  const std::vector<Range> row_ranges = Kinds(rows, &row_kinds_);
  const std::vector<Range> column_ranges = Kinds(columns, &column_kinds_);
  columns_ = column_ranges.size();
  places_ = filters.places();
  corrections_.Resize(row_ranges.size() * columns_ * places_);
  for (int filter = 0; filter < filters.groups() * filters.filters_of_group(); ++filter) {
    const Sums sums(filters, filter, channels);
    int32_t* correction = corrections_.data() + filters.PlaceOf(filter);
    for (const Range& inside_rows : row_ranges) {
      for (const Range& inside_columns : column_ranges) {
        *correction = sums.All() - sums.Inside(inside_rows, inside_columns);
        correction += places_;
      }
    }
  }
}

}  // namespace larq_reactnet_runtime

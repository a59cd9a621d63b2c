#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Charts as SVG: text that any browser draws sharply, in light and dark. Values that are not finite are left out.
namespace lithe::tune {

struct Series {
  std::string name;
  std::vector<double> x, y;  ///< Of one length; x ascending.
  bool faint = false;        ///< Drawn thin, as what another series smooths.
};

struct LineChart {
  std::string title, x_label, y_label;  ///< Labels name the unit.
  std::vector<Series> series;
  /// Series are one family in order, as layers by depth: their colours go from one end of a scale to the other.
  bool ordered = false;
  std::optional<double> low, high;  ///< Of the y axis; absent: from the values.
};

struct Bar {
  std::string label;
  double value = 0;
  bool marked = false;
};

struct BarChart {
  std::string title, x_label, y_label;
  std::vector<Bar> bars;
  std::string marked_name, other_name;  ///< For the legend; both empty: none.
  std::optional<double> low, high;
};

/// An `svg` element for a page that holds chart_style(). Long series are thinned so that no peak is lost.
std::string svg_of(const LineChart& chart);
std::string svg_of(const BarChart& chart);

/// What the charts of a page look like, for its `style` element.
std::string_view chart_style();

/// The element as a file of its own.
std::string svg_file(const std::string& svg);

/// At most two points per bucket, the lowest and the highest, in order.
Series thinned(const Series& series, std::size_t buckets);

/// `text` for the content or an attribute of HTML or SVG: valid UTF-8 without control characters.
std::string escaped(std::string_view text);

}  // namespace lithe::tune

#include "tune/chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/utf8.h"
#include "tune/axis.h"

namespace lithe::tune {
namespace {

constexpr double kWidth = 800, kHeight = 320;
constexpr double kLeft = 72, kRight = 768, kTop = 62, kBottom = 268;
constexpr std::size_t kBuckets = 600;  ///< About one per pixel of the plot.
constexpr std::size_t kMostNames = 8;  ///< In a legend; more are told by the scale's ends.
constexpr int kColours = 6;            ///< Of chart_style().

/// A coordinate, to a hundredth of a pixel.
std::string px(double value) {
  return concat(std::round(value * 100) / 100);
}

/// Where values lie on the plot.
struct Plot {
  Axis x, y;

  double left(double value) const { return kLeft + (value - x.low) / (x.high - x.low) * (kRight - kLeft); }
  double top(double value) const {
    const double share = (value - y.low) / (y.high - y.low);
    return kBottom - std::clamp(share, 0.0, 1.0) * (kBottom - kTop);
  }
};

std::string text_at(double x, double y, const char* anchor, const char* style, const std::string& text) {
  return concat("<text x=\"", px(x), "\" y=\"", px(y), "\" text-anchor=\"", anchor, "\" class=\"", style, "\">",
                escaped(text), "</text>\n");
}

std::string line_from(double x1, double y1, double x2, double y2, const char* style) {
  return concat("<line x1=\"", px(x1), "\" y1=\"", px(y1), "\" x2=\"", px(x2), "\" y2=\"", px(y2), "\" class=\"", style,
                "\"/>\n");
}

std::string opened(const std::string& title) {
  return concat("<svg class=\"chart\" viewBox=\"0 0 ", kWidth, ' ', kHeight, "\" role=\"img\" aria-label=\"",
                escaped(title), "\" xmlns=\"http://www.w3.org/2000/svg\">\n<rect class=\"plate\" width=\"", kWidth,
                "\" height=\"", kHeight, "\" rx=\"6\"/>\n", text_at(16, 26, "start", "title", title));
}

std::string labels(const std::string& x_label, const std::string& y_label) {
  return text_at((kLeft + kRight) / 2, kHeight - 12, "middle", "label", x_label) +
         text_at(16, 46, "start", "label", y_label);
}

std::string y_grid(const Plot& plot) {
  std::string out;
  for (const double tick : plot.y.ticks) {
    out += line_from(kLeft, plot.top(tick), kRight, plot.top(tick), "grid");
    out += text_at(kLeft - 8, plot.top(tick) + 4, "end", "tick", plot.y.text(tick));
  }
  return out;
}

std::string x_ticks(const Plot& plot) {
  std::string out = line_from(kLeft, kBottom, kRight, kBottom, "axis");
  for (const double tick : plot.x.ticks) {
    out += line_from(plot.left(tick), kBottom, plot.left(tick), kBottom + 5, "axis");
    out += text_at(plot.left(tick), kBottom + 19, "middle", "tick", plot.x.text(tick));
  }
  return out;
}

/// From blue over green to yellow, readable on light and dark.
std::string scale_colour(std::size_t index, std::size_t count) {
  const double share = count > 1 ? static_cast<double>(index) / static_cast<double>(count - 1) : 0;
  return concat("hsl(", std::lround(255 - 215 * share), " 70% 52%)");
}

/// The attribute that colours a series.
std::string paint(const LineChart& chart, std::size_t index) {
  if (chart.ordered) return concat("style=\"stroke:", scale_colour(index, chart.series.size()), "\"");
  return "";
}

std::string legend(const LineChart& chart) {
  const std::size_t count = chart.series.size();
  if (count < 2) return "";
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < count; ++i) shown.push_back(i);
  if (count > kMostNames) shown = {0, count / 2, count - 1};
  std::string out;
  double right = kRight;
  for (auto index = shown.rbegin(); index != shown.rend(); ++index) {
    const Series& series = chart.series[*index];
    const std::string name = escaped(series.name);
    out += text_at(right, 26, "end", "label", series.name);
    right -= 7.2 * static_cast<double>(std::min<std::size_t>(name.size(), 40)) + 8;
    out += concat("<line x1=\"", px(right - 18), "\" y1=\"22\" x2=\"", px(right), "\" y2=\"22\" class=\"",
                  series.faint ? "curve faint s" : "curve s", *index % kColours, "\" ", paint(chart, *index), "/>\n");
    right -= 34;
  }
  return out;
}

/// A curve; a gap if a value is not finite.
std::string curve(const LineChart& chart, std::size_t index, const Plot& plot) {
  const Series series = thinned(chart.series[index], kBuckets);
  std::string path;
  bool down = false;
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    const bool finite = std::isfinite(series.x[i]) && std::isfinite(series.y[i]);
    if (finite) path += concat(down ? 'L' : 'M', px(plot.left(series.x[i])), ' ', px(plot.top(series.y[i])));
    down = finite;
  }
  if (path.empty()) return "";
  if (series.x.size() == 1) path += "h0.01";  // a round cap makes it a dot
  return concat("<path d=\"", path, "\" class=\"", series.faint ? "curve faint s" : "curve s", index % kColours, "\" ",
                paint(chart, index), "><title>", escaped(series.name), "</title></path>\n");
}

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();

  void take(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

Axis value_axis(Range range, const std::optional<double>& low, const std::optional<double>& high) {
  if (low) range.low = *low;
  if (high) range.high = *high;
  return axis_over(range.low, range.high, 5);
}

/// Labels of bars, as many as there is room for.
std::string bar_labels(const BarChart& chart, double step) {
  const auto every = static_cast<std::size_t>(std::max(1.0, std::ceil(26 / step)));
  std::string out = line_from(kLeft, kBottom, kRight, kBottom, "axis");
  for (std::size_t i = 0; i < chart.bars.size(); i += every)
    out += text_at(kLeft + (static_cast<double>(i) + 0.5) * step, kBottom + 19, "middle", "tick", chart.bars[i].label);
  return out;
}

std::string bars(const BarChart& chart, const Plot& plot, double step) {
  std::string out;
  const double zero = plot.top(std::clamp(0.0, plot.y.low, plot.y.high));
  for (std::size_t i = 0; i < chart.bars.size(); ++i) {
    const Bar& bar = chart.bars[i];
    if (!std::isfinite(bar.value)) continue;
    const double end = plot.top(bar.value);
    out += concat("<rect x=\"", px(kLeft + (static_cast<double>(i) + 0.12) * step), "\" y=\"", px(std::min(end, zero)),
                  "\" width=\"", px(step * 0.76), "\" height=\"", px(std::max(std::abs(end - zero), 0.5)),
                  "\" class=\"bar ", bar.marked ? "marked" : "other", "\"><title>", escaped(bar.label), ": ", bar.value,
                  "</title></rect>\n");
  }
  return out + line_from(kLeft, zero, kRight, zero, "axis");
}

std::string bar_legend(const BarChart& chart) {
  std::string out;
  double right = kRight;
  for (const bool marked : {true, false}) {
    const std::string& name = marked ? chart.marked_name : chart.other_name;
    if (name.empty()) continue;
    out += text_at(right, 26, "end", "label", name);
    right -= 7.2 * static_cast<double>(name.size()) + 22;
    out += concat("<rect x=\"", px(right), "\" y=\"15\" width=\"12\" height=\"12\" rx=\"2\" class=\"bar ",
                  marked ? "marked" : "other", "\"/>\n");
    right -= 18;
  }
  return out;
}

}  // namespace

Series thinned(const Series& series, std::size_t buckets) {
  const std::size_t count = std::min(series.x.size(), series.y.size());
  if (count <= 2 * buckets) return series;
  Series out{.name = series.name, .faint = series.faint};
  for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
    const std::size_t first = bucket * count / buckets, end = (bucket + 1) * count / buckets;
    std::size_t low = first, high = first;
    for (std::size_t i = first; i < end; ++i) {
      // A value that is not finite is never lower or higher, so one that is takes its place.
      if (series.y[i] < series.y[low] || !std::isfinite(series.y[low])) low = i;
      if (series.y[i] > series.y[high] || !std::isfinite(series.y[high])) high = i;
    }
    for (const std::size_t i : {std::min(low, high), std::max(low, high)}) {
      out.x.push_back(series.x[i]);
      out.y.push_back(series.y[i]);
    }
  }
  return out;
}

std::string svg_of(const LineChart& chart) {
  Range x, y;
  for (const Series& series : chart.series) {
    for (const double value : series.x) x.take(value);
    for (const double value : series.y) y.take(value);
  }
  // The curves of a run begin at different steps; all its charts begin at 0.
  if (x.low > 0 && x.low < x.high / 4) x.low = 0;
  const Plot plot{.x = tight_axis(x.low, x.high, 8), .y = value_axis(y, chart.low, chart.high)};
  std::string out = opened(chart.title) + labels(chart.x_label, chart.y_label) + y_grid(plot) + x_ticks(plot);
  for (std::size_t i = 0; i < chart.series.size(); ++i) out += curve(chart, i, plot);
  return out + legend(chart) + "</svg>\n";
}

std::string svg_of(const BarChart& chart) {
  Range y;
  y.take(0);
  for (const Bar& bar : chart.bars) y.take(bar.value);
  const Plot plot{.x = tight_axis(0, 1, 2), .y = value_axis(y, chart.low, chart.high)};
  const double step = (kRight - kLeft) / static_cast<double>(std::max<std::size_t>(1, chart.bars.size()));
  return opened(chart.title) + labels(chart.x_label, chart.y_label) + y_grid(plot) + bar_labels(chart, step) +
         bars(chart, plot, step) + bar_legend(chart) + "</svg>\n";
}

std::string_view chart_style() {
  return R"(.chart{--plate:#fff;--ink:#1c2430;--soft:#5b6675;--grid:#e4e8ee;--axis:#9aa5b4;--a:#2563c9;--b:#c2410c;--c:#15803d;--d:#7c3aed;--e:#0e7490;--f:#b91c6b;display:block;width:100%;max-width:800px;font:12px system-ui,sans-serif}
@media(prefers-color-scheme:dark){.chart{--plate:#161b22;--ink:#e6edf3;--soft:#9aa7b5;--grid:#2b333d;--axis:#566270;--a:#6ea8fe;--b:#fb923c;--c:#4ade80;--d:#b794f6;--e:#22d3ee;--f:#f472b6}}
.chart .plate{fill:var(--plate)}.chart text{fill:var(--soft)}.chart .title{fill:var(--ink);font-size:15px;font-weight:600}
.chart .grid{stroke:var(--grid)}.chart .axis{stroke:var(--axis)}
.chart .curve{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}.chart .faint{stroke-width:1;opacity:.35}
.chart .s0{stroke:var(--a)}.chart .s1{stroke:var(--b)}.chart .s2{stroke:var(--c)}.chart .s3{stroke:var(--d)}.chart .s4{stroke:var(--e)}.chart .s5{stroke:var(--f)}
.chart .other{fill:var(--a)}.chart .marked{fill:var(--b)}
)";
}

std::string svg_file(const std::string& svg) {
  const std::string head = "<svg class=\"chart\"";
  require(svg.starts_with(head), Fault::internal, "not a chart");
  const std::size_t end = svg.find('\n') + 1;
  return concat("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", svg.substr(0, end), "<style>", chart_style(),
                "</style>\n", svg.substr(end));
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char letter : valid_utf8(text)) {
    switch (letter) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        // XML has no way to write other control characters.
        if (static_cast<unsigned char>(letter) < 0x20 && letter != '\n' && letter != '\t')
          out += kReplacement;
        else if (letter != 0x7f)
          out += letter;
    }
  }
  return out;
}

}  // namespace lithe::tune

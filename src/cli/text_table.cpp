#include "cli/text_table.h"

#include <algorithm>
#include <cctype>

namespace lithe::cli {
namespace {

/// Characters, not bytes, of UTF-8.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

/// A bar would begin another cell.
std::string escaped(const std::string& cell) {
  std::string out;
  for (const char c : cell) out.append(c == '|' ? "\\|" : std::string(1, c));
  return out;
}

std::string padded(const std::string& text, std::size_t width) {
  std::string out(width - width_of(text), ' ');
  const bool number = !text.empty() && std::isdigit(static_cast<unsigned char>(text.front())) != 0;
  return out.insert(number ? out.size() : 0, text);
}

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string out(1, '"');
  for (const char c : text) out.append(c == '"' ? 2 : 1, c);
  out += '"';
  return out;
}

}  // namespace

std::string TextTable::markdown() const {
  std::vector<std::size_t> widths;
  for (const std::string& cell : header) widths.push_back(width_of(escaped(cell)));
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(escaped(row[i])));
  }
  const auto line = [&widths](const std::vector<std::string>& row) {
    std::string text(1, '|');
    for (std::size_t i = 0; i < row.size(); ++i)
      text.append(" ").append(padded(escaped(row[i]), widths[i])).append(" |");
    text += '\n';
    return text;
  };
  std::string text = line(header) + "|";
  for (const std::size_t width : widths) text.append(width + 2, '-').append("|");
  text += '\n';
  for (const auto& row : rows) text += line(row);
  return text;
}

std::string TextTable::csv() const {
  std::string text;
  const auto add = [&text](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < row.size(); ++i) text.append(i == 0 ? "" : ",").append(quoted(row[i]));
    text += '\n';
  };
  add(header);
  for (const auto& row : rows) add(row);
  return text;
}

}  // namespace lithe::cli

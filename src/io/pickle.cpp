#include "io/pickle.h"

#include <bit>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace lithe::io {
namespace {

using Kind = Pickle::Value::Kind;
using Id = Pickle::Id;

constexpr std::size_t kMaxPickle = std::size_t{32} << 20;
constexpr std::size_t kMaxValues = 2'000'000;
constexpr std::size_t kMaxItems = 16'000'000;  // of all containers: copies of copies must not grow without end
constexpr std::size_t kMaxMarks = 10'000;
constexpr Id kNone = 0;
constexpr Id kFalse = 1;
constexpr Id kTrue = 2;

// clang-format off
// Opcodes, as Python's pickle.py names them.
enum Op : uint8_t {
  MARK = '(', STOP = '.', POP = '0', POP_MARK = '1', DUP = '2', BINFLOAT = 'G', BININT = 'J', BININT1 = 'K', BININT2 = 'M',
  NONE = 'N', BINPERSID = 'Q', REDUCE = 'R', BINSTRING = 'T', SHORT_BINSTRING = 'U', BINUNICODE = 'X', APPEND = 'a',
  BUILD = 'b', GLOBAL = 'c', DICT = 'd', EMPTY_DICT = '}', APPENDS = 'e', BINGET = 'h', LONG_BINGET = 'j', LIST = 'l',
  EMPTY_LIST = ']', BINPUT = 'q', LONG_BINPUT = 'r', SETITEM = 's', TUPLE = 't', EMPTY_TUPLE = ')', SETITEMS = 'u',
  PROTO = 0x80, NEWOBJ = 0x81, TUPLE1 = 0x85, TUPLE2 = 0x86, TUPLE3 = 0x87, NEWTRUE = 0x88, NEWFALSE = 0x89, LONG1 = 0x8a,
  BINBYTES = 'B', SHORT_BINBYTES = 'C', SHORT_BINUNICODE = 0x8c, BINUNICODE8 = 0x8d, EMPTY_SET = 0x8f, ADDITEMS = 0x90,
  FROZENSET = 0x91, STACK_GLOBAL = 0x93, MEMOIZE = 0x94, FRAME = 0x95
};
// clang-format on

}  // namespace

/// The stack machine. Each opcode belongs to one of four groups; a group's function says whether the opcode was its
/// own.
class PickleReader {
 public:
  PickleReader(const Bytes& bytes, Pickle::Roles roles, std::vector<Pickle::Value>& values)
      : bytes_(bytes.span.subspan(0, std::min(bytes.span.size(), kMaxPickle))),
        file_(bytes.file),
        roles_(roles),
        values_(values) {
    add({});
    add({.kind = Kind::boolean, .integer = 0});
    add({.kind = Kind::boolean, .integer = 1});
  }

  Id run() {
    require(number<uint8_t>() == PROTO, Fault::bad_file, file_, ": is not a pickle of protocol 2 or newer");
    check(number<uint8_t>() <= 5, "has a protocol that does not exist");
    for (;;) {
      const auto op = number<uint8_t>();
      if (op == STOP) return pop();
      const bool known = read_constant(op) || read_container(op) || read_memo(op) || read_call(op);
      require(known, Fault::bad_file, file_, ": the pickle has the opcode ", int{op}, " at byte ", at_ - 1,
              ", which plain data does not need");
    }
  }

  std::size_t consumed() const { return at_; }

 private:
  void check(bool holds, const char* what) const {
    require(holds, Fault::bad_file, file_, ": the pickle ", what, " (byte ", at_, ")");
  }

  // Bytes.

  std::span<const std::byte> take(uint64_t size) {
    check(size <= bytes_.size() - at_, "is cut off, or longer than 32 MiB");
    const auto out = bytes_.subspan(at_, size);
    at_ += size;
    return out;
  }

  template <class T>
  T number() {
    return little_endian<T>(take(sizeof(T)), 0);
  }

  std::string line() {
    const std::string_view rest = as_text(bytes_.subspan(at_));
    const std::size_t end = rest.find('\n');
    check(end != rest.npos, "is cut off in a name");
    at_ += end + 1;
    return std::string(rest.substr(0, end));
  }

  // The stack.

  Id add(Pickle::Value value) {
    require(values_.size() < kMaxValues, Fault::bad_file, file_, ": the pickle holds more than ", kMaxValues,
            " values");
    values_.push_back(std::move(value));
    return static_cast<Id>(values_.size() - 1);
  }

  void push(Id id) { stack_.push_back(id); }
  void push(Pickle::Value value) { push(add(std::move(value))); }
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  Id top() const {
    check(stack_.size() > floor(), "takes a value that is not there");
    return stack_.back();
  }

  Id pop() {
    const Id id = top();
    stack_.pop_back();
    return id;
  }

  void push_mark() {
    check(marks_.size() < kMaxMarks, "nests too deeply");
    marks_.push_back(stack_.size());
  }

  std::vector<Id> pop_mark() {
    check(!marks_.empty(), "takes a mark that is not there");
    std::vector<Id> out(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return out;
  }

  std::vector<Id> pop_count(int count) {
    std::vector<Id> out(static_cast<std::size_t>(count));
    for (int i = count - 1; i >= 0; --i) out[static_cast<std::size_t>(i)] = pop();
    return out;
  }

  Pickle::Value& top_of_kind(Kind kind, const char* what) {
    Pickle::Value& value = values_[top()];
    check(value.kind == kind, what);
    return value;
  }

  void append(std::vector<Id>& to, const std::vector<Id>& items) {
    item_count_ += items.size();
    require(item_count_ <= kMaxItems, Fault::bad_file, file_, ": the pickle holds more than ", kMaxItems, " items");
    to.insert(to.end(), items.begin(), items.end());
  }

  // The groups.

  void push_text(uint64_t size) { push({.kind = Kind::text, .text = std::string(as_text(take(size)))}); }

  void push_long() {
    const auto bytes = take(number<uint8_t>());
    Pickle::Value value{.kind = Kind::integer};
    if (bytes.size() > 8) value.text = as_text(bytes);
    for (std::size_t i = 0; i < 8 && !bytes.empty(); ++i) {
      const bool negative = (bytes.back() & std::byte{0x80}) != std::byte{0};
      const auto part = i < bytes.size() ? bytes[i] : std::byte{static_cast<unsigned char>(negative ? 0xff : 0)};
      value.integer |= static_cast<int64_t>(std::to_integer<uint64_t>(part) << (8 * i));
    }
    push(std::move(value));
  }

  void push_real() {
    uint64_t bits = 0;
    for (const std::byte part : take(8)) bits = bits << 8 | std::to_integer<uint64_t>(part);
    push({.kind = Kind::real, .real = std::bit_cast<double>(bits)});
  }

  // clang-format off
  bool read_constant(uint8_t op) {
    switch (op) {
      case NONE: push(kNone); return true;
      case NEWTRUE: push(kTrue); return true;
      case NEWFALSE: push(kFalse); return true;
      case BININT: push({.kind = Kind::integer, .integer = number<int32_t>()}); return true;
      case BININT1: push({.kind = Kind::integer, .integer = number<uint8_t>()}); return true;
      case BININT2: push({.kind = Kind::integer, .integer = number<uint16_t>()}); return true;
      case LONG1: push_long(); return true;
      case BINFLOAT: push_real(); return true;
      case BINUNICODE: case BINSTRING: case BINBYTES: push_text(number<uint32_t>()); return true;
      case SHORT_BINUNICODE: case SHORT_BINSTRING: case SHORT_BINBYTES: push_text(number<uint8_t>()); return true;
      case BINUNICODE8: push_text(number<uint64_t>()); return true;
      case FRAME: take(8); return true;  // a hint for readers of streams
      default: return false;
    }
  }
  // clang-format on

  void set_items(const std::vector<Id>& items) {
    check(items.size() % 2 == 0, "has a key without a value");
    append(top_of_kind(Kind::dict, "sets entries of what is not a dict").items, items);
  }

  void append_items(const std::vector<Id>& items) {
    append(top_of_kind(Kind::sequence, "appends to what is not a list").items, items);
  }

  // clang-format off
  bool read_container(uint8_t op) {
    switch (op) {
      case MARK: push_mark(); return true;
      case POP: pop(); return true;
      case POP_MARK: pop_mark(); return true;
      case DUP: push(top()); return true;
      case EMPTY_LIST: case EMPTY_TUPLE: case EMPTY_SET: push({.kind = Kind::sequence}); return true;
      case EMPTY_DICT: push({.kind = Kind::dict}); return true;
      case TUPLE: case LIST: case FROZENSET: push({.kind = Kind::sequence, .items = pop_mark()}); return true;
      case TUPLE1: case TUPLE2: case TUPLE3: push({.kind = Kind::sequence, .items = pop_count(op - TUPLE1 + 1)}); return true;
      case DICT: {
        const std::vector<Id> items = pop_mark();
        push({.kind = Kind::dict});
        set_items(items);
        return true;
      }
      case APPEND: append_items(pop_count(1)); return true;
      case APPENDS: case ADDITEMS: append_items(pop_mark()); return true;
      case SETITEM: set_items(pop_count(2)); return true;
      case SETITEMS: set_items(pop_mark()); return true;
      default: return false;
    }
  }
  // clang-format on

  void get(uint32_t index) {
    const auto found = memo_.find(index);
    check(found != memo_.end(), "recalls a value that it never kept");
    push(found->second);
  }

  // clang-format off
  bool read_memo(uint8_t op) {
    switch (op) {
      case BINPUT: memo_[number<uint8_t>()] = top(); return true;
      case LONG_BINPUT: memo_[number<uint32_t>()] = top(); return true;
      case MEMOIZE: memo_[static_cast<uint32_t>(memo_.size())] = top(); return true;
      case BINGET: get(number<uint8_t>()); return true;
      case LONG_BINGET: get(number<uint32_t>()); return true;
      default: return false;
    }
  }
  // clang-format on

  [[noreturn]] void refuse(const std::string& global) const {
    fail(Fault::bad_file, file_, ": the pickle would run ", in_quotes(global),
         "; only tensors and plain containers are read");
  }

  void push_global(const std::string& module, const std::string& name) {
    std::string global = module + "." + name;
    if (!roles_(global)) refuse(global);
    push({.kind = Kind::global, .text = std::move(global)});
  }

  /// dict(), dict({...}), OrderedDict([(k, v), ...]), defaultdict(factory, {...})
  Pickle::Value called_dict(const std::vector<Id>& arguments) {
    Pickle::Value out{.kind = Kind::dict};
    if (arguments.empty() || values_[arguments.back()].kind == Kind::global) return out;
    const Pickle::Value& from = values_[arguments.back()];
    if (from.kind == Kind::dict) {
      append(out.items, from.items);
      return out;
    }
    check(from.kind == Kind::sequence, "makes a dict from what is neither dict nor list");
    for (const Id pair : from.items) {
      const Pickle::Value& entry = values_[pair];
      check(entry.kind == Kind::sequence && entry.items.size() == 2, "makes a dict from what are not pairs");
      append(out.items, entry.items);
    }
    return out;
  }

  void call() {
    const std::vector<Id> operands = pop_count(2);
    const Pickle::Value& callee = values_[operands[0]];
    const Pickle::Value& arguments = values_[operands[1]];
    check(callee.kind == Kind::global && arguments.kind == Kind::sequence, "calls what is not a name with a list");
    switch (*roles_(callee.text)) {
      case Pickle::Role::label:
        refuse(callee.text);
      case Pickle::Role::dict:
        push(called_dict(arguments.items));
        return;
      case Pickle::Role::call:
        push({.kind = Kind::call, .items = operands});
        return;
      case Pickle::Role::first:
        check(!arguments.items.empty(), "calls a function without the argument that it needs");
        push(arguments.items[0]);
        return;
      case Pickle::Role::sequence: {
        Pickle::Value out{.kind = Kind::sequence};
        check(arguments.items.empty() || values_[arguments.items[0]].kind == Kind::sequence,
              "makes a list from what is not a list");
        if (!arguments.items.empty()) append(out.items, values_[arguments.items[0]].items);
        push(std::move(out));
      }
    }
  }

  /// Attributes: entries of the container that stands for the object.
  void build() {
    const Id state = pop();
    check(values_[state].kind == Kind::dict, "sets attributes from what is not a dict");
    const std::vector<Id> items = values_[state].items;
    append(top_of_kind(Kind::dict, "sets attributes of what is not a container").items, items);
  }

  // clang-format off
  bool read_call(uint8_t op) {
    switch (op) {
      case GLOBAL: {
        const std::string module = line();
        push_global(module, line());
        return true;
      }
      case STACK_GLOBAL: {
        const std::vector<Id> names = pop_count(2);
        const bool texts = values_[names[0]].kind == Kind::text && values_[names[1]].kind == Kind::text;
        check(texts, "names a global by what is not a text");
        push_global(values_[names[0]].text, values_[names[1]].text);
        return true;
      }
      case REDUCE: case NEWOBJ: call(); return true;
      case BUILD: build(); return true;
      case BINPERSID: push({.kind = Kind::persistent, .items = pop_count(1)}); return true;
      default: return false;
    }
  }
  // clang-format on

  std::span<const std::byte> bytes_;
  std::string file_;
  Pickle::Roles roles_;
  std::vector<Pickle::Value>& values_;
  std::size_t at_ = 0;
  std::size_t item_count_ = 0;
  std::vector<Id> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<uint32_t, Id> memo_;
};

Pickle::Pickle(const Bytes& bytes, Roles roles) {
  PickleReader reader(bytes, roles, values_);
  root_ = reader.run();
  consumed_ = reader.consumed();
}

const Pickle::Value* Pickle::entry(const Value& dict, std::string_view key) const {
  if (dict.kind != Value::Kind::dict) return nullptr;
  for (std::size_t i = dict.items.size(); i >= 2; i -= 2) {
    const Value& name = values_[dict.items[i - 2]];
    if (name.kind == Value::Kind::text && name.text == key) return &values_[dict.items[i - 1]];
  }
  return nullptr;
}

}  // namespace lithe::io

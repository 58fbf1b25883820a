#include "json.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "error.h"

namespace baimu {
namespace {

constexpr int kDeepest = 64;  // arrays in arrays; a file that nests deeper is no card

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  Json whole() {
    Json value = any(0);
    skip_space();
    if (at_ != text_.size()) fail("more text than one value");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error("JSON, character " + std::to_string(at_) + ": " + what);
  }

  void skip_space() {
    while (at_ < text_.size() && std::strchr(" \t\r\n", text_[at_]) != nullptr && text_[at_] != '\0') ++at_;
  }

  char next() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  bool take(const char* word) {
    if (text_.compare(at_, std::strlen(word), word) != 0) return false;
    at_ += std::strlen(word);
    return true;
  }

  void expect(const char* word) {
    next();
    if (!take(word)) fail(std::string("expected ") + word);
  }

  Json any(int depth) {
    if (depth > kDeepest) fail("nested too deep");
    switch (next()) {
      case '{': return object(depth);
      case '[': return array(depth);
      case '"': return Json(string());
      default: break;
    }
    if (take("null")) return Json();
    if (take("true")) return Json(true);
    if (take("false")) return Json(false);
    if (take("NaN")) return Json(std::numeric_limits<double>::quiet_NaN());
    if (take("Infinity")) return Json(std::numeric_limits<double>::infinity());
    if (take("-Infinity")) return Json(-std::numeric_limits<double>::infinity());
    return Json(number());
  }

  double number() {
    const char* start = text_.c_str() + at_;
    if (*start != '-' && (*start < '0' || *start > '9')) fail("expected a value");
    char* end = nullptr;
    const double value = std::strtod(start, &end);
    if (end == start) fail("expected a number");
    at_ += static_cast<std::size_t>(end - start);
    return value;
  }

  Json array(int depth) {
    Json::Array items;
    expect("[");
    if (next() != ']') {
      do items.push_back(any(depth + 1));
      while (next() == ',' && take(","));
    }
    expect("]");
    return Json(std::move(items));
  }

  Json object(int depth) {
    Json::Object members;
    expect("{");
    if (next() != '}') {
      do {
        next();
        std::string key = string();
        expect(":");
        members.emplace_back(std::move(key), any(depth + 1));
      } while (next() == ',' && take(","));
    }
    expect("}");
    return Json(std::move(members));
  }

  std::string string() {
    if (!take("\"")) fail("expected a text in quotation marks");
    std::string out;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\') {
        ++at_;
        escape(out);
      } else {
        out += text_[at_++];
      }
    }
    if (!take("\"")) fail("a text without end");
    return out;
  }

  void escape(std::string& out) {
    static const char* const kWritten = "\"\\/bfnrt";
    static const char* const kMeant = "\"\\/\b\f\n\r\t";
    const char letter = at_ < text_.size() ? text_[at_] : '\0';
    if (letter == 'u') {
      ++at_;
      append_utf8(out, code_point());
      return;
    }
    const char* found = letter == '\0' ? nullptr : std::strchr(kWritten, letter);
    if (found == nullptr) fail("an unknown escape");
    out += kMeant[found - kWritten];
    ++at_;
  }

  unsigned code_point() {
    const unsigned first = hex();
    if (first < 0xD800 || first > 0xDBFF) return first;
    if (!take("\\u")) fail("half of a surrogate pair");
    const unsigned second = hex();
    if (second < 0xDC00 || second > 0xDFFF) fail("half of a surrogate pair");
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
  }

  unsigned hex() {
    unsigned value = 0;
    for (int digit = 0; digit < 4; ++digit) {
      const char letter = at_ < text_.size() ? text_[at_] : '\0';
      const char* digits = "0123456789abcdef0123456789ABCDEF";
      const char* found = letter == '\0' ? nullptr : std::strchr(digits, letter);
      if (found == nullptr) fail("expected four hexadecimal digits");
      value = value * 16 + static_cast<unsigned>((found - digits) % 16);
      ++at_;
    }
    return value;
  }

  static void append_utf8(std::string& out, unsigned code) {
    if (code < 0x80) {
      out += static_cast<char>(code);
      return;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    const unsigned starts[] = {0xC0, 0xE0, 0xF0};  // how many bytes follow
    out += static_cast<char>(starts[more - 1] | code >> 6 * more);
    for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | (code >> 6 * i & 0x3F));
  }

  const std::string& text_;
  std::size_t at_ = 0;
};

template <class T>
const T& as(const Json::Value& value, const char* what) {
  const T* found = std::get_if<T>(&value);
  if (found == nullptr) throw Error(std::string("JSON: expected ") + what);
  return *found;
}

}  // namespace

Json Json::parse(const std::string& text) { return Parser(text).whole(); }

bool Json::truth() const { return as<bool>(value_, "true or false"); }

double Json::number() const { return as<double>(value_, "a number"); }

int Json::integer() const {
  const double value = number();
  if (value != std::floor(value) || std::abs(value) > 1e9) throw Error("JSON: expected a whole number");
  return static_cast<int>(value);
}

const std::string& Json::text() const { return as<std::string>(value_, "a text"); }

const Json::Array& Json::items() const { return as<Array>(value_, "a list"); }

const Json& Json::operator[](const std::string& key) const {
  static const Json kNull;
  for (const auto& [name, value] : as<Object>(value_, "an object"))
    if (name == key) return value;
  return kNull;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      out += code;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string written(float value) {
  char text[32];
  for (int digits = 6; digits <= 9; ++digits) {
    std::snprintf(text, sizeof text, "%.*g", digits, static_cast<double>(value));
    if (std::strtof(text, nullptr) == value) break;
  }
  return text;
}

}  // namespace baimu

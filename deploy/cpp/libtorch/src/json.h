#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace baimu {

/// A value of JSON, read whole. Asking one for what it is not throws an Error.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;
  using Value = std::variant<std::nullptr_t, bool, double, std::string, Array, Object>;

  Json(Value value = nullptr) : value_(std::move(value)) {}

  /// Throws an Error with the place of the first fault.
  static Json parse(const std::string& text);

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
  bool truth() const;
  double number() const;
  int integer() const;
  const std::string& text() const;
  const Array& items() const;

  /// The member `key` of an object; null where there is none.
  const Json& operator[](const std::string& key) const;

 private:
  Value value_;
};

/// `text` as JSON writes it, in quotation marks.
std::string quoted(const std::string& text);

/// The shortest of the usual ways to write `value` that reads back as the same float.
std::string written(float value);

}  // namespace baimu

#include "image.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "error.h"

namespace baimu {
namespace {

constexpr long long kMostPixels = 89478485;  // Pillow's own limit, which Python keeps to

std::vector<std::uint8_t> bytes_of(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) throw Error("there is no such file; check the path");
  if (!std::filesystem::is_regular_file(path, ignored)) throw Error("is not a regular file; give an image file");
  std::ifstream file(path, std::ios::binary);
  std::vector<std::uint8_t> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.bad() || bytes.empty()) throw Error("is empty or cannot be read; copy or download it again");
  return bytes;
}

/// The next number of a PPM's header, over white space and comments.
long long header_number(const std::vector<std::uint8_t>& bytes, std::size_t& at) {
  while (at < bytes.size() && (std::isspace(bytes[at]) != 0 || bytes[at] == '#')) {
    if (bytes[at] == '#')
      while (at < bytes.size() && bytes[at] != '\n') ++at;
    else
      ++at;
  }
  long long value = 0;
  const std::size_t start = at;
  for (; at < bytes.size() && std::isdigit(bytes[at]) != 0 && at - start < 9; ++at) value = value * 10 + bytes[at] - '0';
  if (at == start) throw Error("its header is damaged; replace the file");
  return value;
}

Image decode_ppm(const std::vector<std::uint8_t>& bytes) {
  std::size_t at = 2;
  const long long width = header_number(bytes, at);
  const long long height = header_number(bytes, at);
  const long long highest = header_number(bytes, at);
  if (highest != 255) throw Error("is a PPM of other than 8 bits; convert it");
  refuse_huge(height, width);
  Image image(Size{static_cast<int>(height), static_cast<int>(width)});
  ++at;  // the one white space before the pixels
  if (bytes.size() < at + image.pixels.size()) throw Error("is truncated; replace the file");
  std::memcpy(image.pixels.data(), bytes.data() + at, image.pixels.size());
  return image;
}

bool starts(const std::vector<std::uint8_t>& bytes, std::initializer_list<std::uint8_t> with) {
  return bytes.size() >= with.size() && std::equal(with.begin(), with.end(), bytes.begin());
}

Image decoded(const std::vector<std::uint8_t>& bytes) {
  if (starts(bytes, {'P', '6'})) return decode_ppm(bytes);
  if (starts(bytes, {0xFF, 0xD8})) return decode_jpeg(bytes);
  if (starts(bytes, {0x89, 'P', 'N', 'G'})) return decode_png(bytes);
  throw Error("is no PPM (P6), JPEG or PNG; convert it");
}

}  // namespace

void refuse_huge(long long height, long long width) {
  if (height < 1 || width < 1) throw Error("has no pixels; replace the file");
  if (height > kMostPixels / width) throw Error("has more than " + std::to_string(kMostPixels) + " pixels; scale it down");
}

Image read_image(const std::string& path) {
  try {
    return decoded(bytes_of(path));
  } catch (const Error& error) {
    throw Error(path + ": " + error.what());
  }
}

Image cropped(const Image& image, int top, int left, Size size) {
  if (size == image.size) return image;
  Image out(size);
  for (int row = 0; row < size.height; ++row)
    std::memcpy(out.at(row, 0), image.at(top + row, left), 3 * static_cast<std::size_t>(size.width));
  return out;
}

}  // namespace baimu

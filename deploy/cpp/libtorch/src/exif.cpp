#include "exif.h"

#include <cstring>

namespace baimu {

int exif_orientation(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kHeader = 6, kEntry = 12;
  constexpr unsigned kOrientation = 0x0112;
  if (size < kHeader + 8 || std::memcmp(data, "Exif\0", kHeader) != 0) return 1;
  const std::uint8_t* tiff = data + kHeader;
  const std::size_t length = size - kHeader;
  const bool little = tiff[0] == 'I';
  const auto number = [&](std::size_t at, int bytes) -> std::size_t {
    std::size_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | tiff[at + static_cast<std::size_t>(little ? bytes - 1 - i : i)];
    return value;
  };
  const std::size_t directory = number(4, 4);
  if (directory > length || length - directory < 2) return 1;
  const std::size_t entries = number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntry;
    if (entry + kEntry > length) return 1;
    if (number(entry, 2) != kOrientation) continue;
    const std::size_t value = number(entry + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image turned(const Image& image, int orientation) {
  if (orientation == 1) return image;
  const Size from = image.size;
  const bool swapped = orientation >= 5;  // rows of the seen picture run along columns of the stored one
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  Image out(swapped ? Size{from.width, from.height} : from);
  for (int row = 0; row < out.size.height; ++row) {
    for (int column = 0; column < out.size.width; ++column) {
      const int y = swapped ? column : row, x = swapped ? row : column;
      const std::uint8_t* pixel = image.at(from_bottom ? from.height - 1 - y : y, from_right ? from.width - 1 - x : x);
      std::memcpy(out.at(row, column), pixel, 3);
    }
  }
  return out;
}

}  // namespace baimu

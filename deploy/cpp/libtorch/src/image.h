#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "card.h"

namespace baimu {

/// RGB bytes, row after row.
struct Image {
  Size size;
  std::vector<std::uint8_t> pixels;

  Image() = default;
  explicit Image(Size s) : size(s), pixels(static_cast<std::size_t>(s.height) * s.width * 3) {}

  std::uint8_t* at(int row, int column) {
    return pixels.data() + 3 * (static_cast<std::size_t>(row) * size.width + column);
  }
  const std::uint8_t* at(int row, int column) const { return const_cast<Image*>(this)->at(row, column); }
};

/// The image in a file: PPM (P6, 8 bits), and JPEG and PNG where the program was built with their libraries. As in
/// Python it is the right way up, and transparent pixels are laid over white. Throws an Error that names the file.
Image read_image(const std::string& path);

/// The window of that size, which lies inside the image.
Image cropped(const Image& image, int top, int left, Size size);

/// The formats of which `read_image` hands on the bytes. They throw an Error without the path.
Image decode_jpeg(const std::vector<std::uint8_t>& bytes);
Image decode_png(const std::vector<std::uint8_t>& bytes);

/// Throws an Error for a size that could fill the memory.
void refuse_huge(long long height, long long width);

}  // namespace baimu

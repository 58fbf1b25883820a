#include "error.h"
#include "image.h"

#ifdef BAIMU_PNG

#include <png.h>

namespace baimu {
namespace {

/// A byte of colour with `alpha` over white.
std::uint8_t over_white(int colour, int alpha) {
  return static_cast<std::uint8_t>((colour * alpha + 255 * (255 - alpha) + 127) / 255);
}

}  // namespace

Image decode_png(const std::vector<std::uint8_t>& bytes) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  const auto complain = [&png] {
    const Error error(std::string("damaged or truncated (") + png.message + "); replace the file or remove it");
    png_image_free(&png);
    throw error;
  };
  if (png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()) == 0) complain();
  refuse_huge(png.height, png.width);
  png.format = PNG_FORMAT_RGBA;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(png));
  if (png_image_finish_read(&png, nullptr, pixels.data(), 0, nullptr) == 0) complain();

  Image image(Size{static_cast<int>(png.height), static_cast<int>(png.width)});
  for (std::size_t i = 0; i < pixels.size() / 4; ++i)
    for (std::size_t c = 0; c < 3; ++c) image.pixels[3 * i + c] = over_white(pixels[4 * i + c], pixels[4 * i + 3]);
  return image;
}

}  // namespace baimu

#else

namespace baimu {

Image decode_png(const std::vector<std::uint8_t>&) {
  throw Error("is a PNG, and this program was built without libpng; install its headers and build again");
}

}  // namespace baimu

#endif

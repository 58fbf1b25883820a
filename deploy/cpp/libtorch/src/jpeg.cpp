#include "error.h"
#include "image.h"

#ifdef BAIMU_JPEG

#include <csetjmp>
#include <cstdio>  // before jpeglib.h, which needs it

#include <jpeglib.h>
#include <jerror.h>

#include "exif.h"

namespace baimu {
namespace {

constexpr int kExif = JPEG_APP0 + 1;

/// libjpeg calls back from C, through which no exception may pass: it jumps, and the words wait here.
struct Complaints {
  jpeg_error_mgr manager;
  std::jmp_buf back;
  char words[JMSG_LENGTH_MAX] = "";
};

[[noreturn]] void give_up(j_common_ptr decoder) {
  auto* complaints = reinterpret_cast<Complaints*>(decoder->err);
  complaints->manager.format_message(decoder, complaints->words);
  std::longjmp(complaints->back, 1);
}

/// A file that ends too early is damaged; other warnings are about what can be seen all the same.
void warn(j_common_ptr decoder, int level) {
  if (level < 0 && decoder->err->msg_code == JWRN_JPEG_EOF) give_up(decoder);
}

struct Decoder : jpeg_decompress_struct {
  Decoder() : jpeg_decompress_struct{} {}
  ~Decoder() { jpeg_destroy_decompress(this); }
};

/// Nothing here may need a destructor while libjpeg can jump: all that does comes from outside. False: it jumped.
bool decode(Decoder& decoder, Complaints& complaints, const std::vector<std::uint8_t>& bytes,
            Image& image, int& orientation) {
  if (setjmp(complaints.back) != 0) return false;
  jpeg_create_decompress(&decoder);
  jpeg_mem_src(&decoder, bytes.data(), static_cast<unsigned long>(bytes.size()));
  jpeg_save_markers(&decoder, kExif, 0xFFFF);
  jpeg_read_header(&decoder, TRUE);
  for (auto* marker = decoder.marker_list; marker != nullptr && orientation == 1; marker = marker->next)
    orientation = exif_orientation(marker->data, marker->data_length);
  refuse_huge(decoder.image_height, decoder.image_width);
  decoder.out_color_space = JCS_RGB;
  jpeg_start_decompress(&decoder);
  image = Image(Size{static_cast<int>(decoder.output_height), static_cast<int>(decoder.output_width)});
  while (decoder.output_scanline < decoder.output_height) {
    JSAMPROW row = image.at(static_cast<int>(decoder.output_scanline), 0);
    jpeg_read_scanlines(&decoder, &row, 1);
  }
  jpeg_finish_decompress(&decoder);
  return true;
}

}  // namespace

Image decode_jpeg(const std::vector<std::uint8_t>& bytes) {
  Complaints complaints{};
  Decoder decoder;
  decoder.err = jpeg_std_error(&complaints.manager);
  complaints.manager.error_exit = give_up;
  complaints.manager.emit_message = warn;
  Image image;
  int orientation = 1;
  const bool whole = decode(decoder, complaints, bytes, image, orientation);
  if (!whole) throw Error(std::string("damaged or truncated (") + complaints.words + "); replace the file or remove it");
  return turned(image, orientation);
}

}  // namespace baimu

#else

namespace baimu {

Image decode_jpeg(const std::vector<std::uint8_t>&) {
  throw Error("is a JPEG, and this program was built without libjpeg; install its headers and build again");
}

}  // namespace baimu

#endif

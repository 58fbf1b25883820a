// What needs no network: JSON, frames, the queue; and with arguments IN HEIGHT WIDTH INTERPOLATION OUT, a resized PPM
// for a comparison with Pillow's. Exit code 1 where a check fails, 2 for an image that cannot be read.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <numeric>
#include <string>
#include <thread>

#include "batch.h"
#include "error.h"
#include "exif.h"
#include "json.h"
#include "preprocess.h"
#include "queue.h"
#include "resize.h"

namespace {

using namespace baimu;
using std::chrono::milliseconds;

int failures = 0;

void check(bool held, const char* what, int line) {
  if (held) return;
  std::fprintf(stderr, "line %d: %s does not hold\n", line, what);
  ++failures;
}
#define CHECK(condition) check((condition), #condition, __LINE__)

bool refuses(const std::string& json) {
  try {
    Json::parse(json);
    return false;
  } catch (const Error&) {
    return true;
  }
}

void json() {
  const Json value = Json::parse(R"( {"a": [1, -2.5e1, true, null], "t": "\u00e9\ud83d\ude00\n\"", "e": {}, "l": []} )");
  CHECK(value["a"].items().size() == 4);
  CHECK(value["a"].items()[1].number() == -25);
  CHECK(value["a"].items()[2].truth());
  CHECK(value["t"].text() == "\xC3\xA9\xF0\x9F\x98\x80\n\"");
  CHECK(value["none"].is_null());
  CHECK(value["l"].items().empty());
  CHECK(Json::parse(quoted("a\"b\\c\n\x01")).text() == "a\"b\\c\n\x01");
  CHECK(std::strtof(written(0.1F + 0.2F).c_str(), nullptr) == 0.1F + 0.2F);
  CHECK(written(0.5F) == "0.5");
  for (const char* text : {"", "{", "[1,]", "{\"a\" 1}", "\"open", "1 2", "nul", "[1", "\"\\ud800x\"", "\"\\q\"", "+1"})
    CHECK(refuses(text));
  CHECK(refuses(std::string(1000, '[')));
}

bool lies(const Preprocess& p, Size source, Size size, int top, int left) {
  const Frame frame = frame_of(p, source);
  return frame.size == size && frame.top == top && frame.left == left;
}

void frames() {
  Preprocess p;
  CHECK(lies(p, {480, 640}, {800, 1067}, 0, 0));
  CHECK(lies(p, {100, 1000}, {133, 1333}, 0, 0));  // the longer side decides
  p.resize = "letterbox";
  p.size = 64;
  CHECK(lies(p, {30, 40}, {48, 64}, 0, 0));
  CHECK((batch_size_of(p, {}) == Size{64, 64}));
  p.resize = "stretch";
  p.width = 32;
  CHECK(lies(p, {30, 40}, {64, 32}, 0, 0));
  p.resize = "crop";  // to 73 pixels, then the middle
  CHECK(lies(p, {100, 100}, {64, 64}, -4, -4));
  p.resize = "height";
  p.max_size = 100;
  CHECK(lies(p, {32, 500}, {64, 100}, 0, 0));
  p.resize = "none";
  CHECK(lies(p, {3, 5}, {3, 5}, 0, 0));
}

void turns() {
  Image image(Size{1, 2});
  image.pixels = {1, 1, 1, 2, 2, 2};  // left to right: 1 2
  CHECK(turned(image, 2).at(0, 0)[0] == 2);
  CHECK(turned(image, 3).at(0, 0)[0] == 2);
  CHECK(turned(image, 4).at(0, 0)[0] == 1);
  CHECK((turned(image, 6).size == Size{2, 1}));
  CHECK(turned(image, 6).at(0, 0)[0] == 1);  // a quarter to the right: the left end comes to the top
  CHECK(turned(image, 8).at(0, 0)[0] == 2);
  const std::uint8_t exif[] = {'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1,
                               1,   0x12, 0, 3,   0, 0, 0,   1,   0, 6,  0, 0};
  CHECK(exif_orientation(exif, sizeof exif) == 6);
  CHECK(exif_orientation(exif, sizeof exif - 1) == 1);
}

void order() {
  BatchQueue<int> queue(3, std::chrono::hours(1));
  std::thread writer([&queue] {
    for (int i = 0; i < 8; ++i) queue.push(i);
    queue.close();
  });
  std::vector<int> all;
  std::vector<std::size_t> sizes;
  for (auto batch = queue.pop(); !batch.empty(); batch = queue.pop()) {
    sizes.push_back(batch.size());
    all.insert(all.end(), batch.begin(), batch.end());
  }
  writer.join();
  std::vector<int> expected(8);
  std::iota(expected.begin(), expected.end(), 0);
  CHECK(all == expected);
  CHECK((sizes == std::vector<std::size_t>{3, 3, 2}));  // the last one partial, none of the others
}

void patience() {
  BatchQueue<int> queue(4, milliseconds(30));
  queue.push(1);
  const auto start = std::chrono::steady_clock::now();
  CHECK(queue.pop().size() == 1);  // nobody else comes, and it is not held for ever
  const auto waited = std::chrono::steady_clock::now() - start;
  CHECK(waited >= milliseconds(20));
  queue.close();
  CHECK(queue.pop().empty());
  CHECK(!queue.push(2));
}

void parts() {
  std::vector<Prepared> images(4);
  images[0].frame.size = images[1].frame.size = {1, 2};
  images[2].frame.size = {2, 2};
  images[3].frame.size = {1, 2};
  const auto found = parts_of_equal_size(images);
  CHECK(found.size() == 3 && found[0].size() == 2);
}

int resize_file(char** words) {
  const Image image = resized(read_image(words[1]), {std::atoi(words[2]), std::atoi(words[3])}, words[4]);
  std::ofstream out(words[5], std::ios::binary);
  out << "P6\n" << image.size.width << ' ' << image.size.height << "\n255\n";
  out.write(reinterpret_cast<const char*>(image.pixels.data()), static_cast<std::streamsize>(image.pixels.size()));
  return out.good() ? 0 : 2;
}

}  // namespace

int main(int count, char** words) {
  try {
    if (count == 6) return resize_file(words);
    json();
    frames();
    turns();
    order();
    patience();
    parts();
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
  return failures == 0 ? 0 : 1;
}

#include "arguments.h"

#include <cstdlib>

#include "error.h"

namespace baimu {

const char* const kUsage = R"(baimu_predict MODEL IMAGE... [options]     one line of JSON for each image, in order
baimu_predict MODEL - [options]            the same of each path that comes on standard input
baimu_predict MODEL [IMAGE...] --benchmark images per second for batches of 1, 2, 4, 8 and 16

MODEL is a file of baimu export: .torchscript or .aoti.pt2. IMAGE is a PPM, JPEG or PNG.

--batch N         images looked at together (8)
--equal-sizes     of detectors: together only what has one size, so that nothing depends on the padding of others
--latency MS      of standard input: how long an image waits for others (20)
--score S         of detectors: the lowest score told (0.3)
--top N           of classifiers: classes told (5)
--threads N       that torch computes with (1)
--operators FILE  a shared library with further operators, such as torchvision's
)";

namespace {

double number(const std::string& option, const std::string& text, double least, double most) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= least && value <= most)) throw Error(option + " " + text + ": no number that it takes");
  return value;
}

int count(const std::string& option, const std::string& text, int least, int most) {
  const double value = number(option, text, least, most);
  if (value != static_cast<int>(value)) throw Error(option + " " + text + ": not a whole number");
  return static_cast<int>(value);
}

void set(Arguments& out, const std::string& option, const std::string& value) {
  if (option == "--batch") out.batch = count(option, value, 1, 4096);
  else if (option == "--latency") out.latency = std::chrono::milliseconds(count(option, value, 0, 3600000));
  else if (option == "--score") out.score = static_cast<float>(number(option, value, 0, 1));
  else if (option == "--top") out.top = count(option, value, 1, 1000000);
  else if (option == "--threads") out.threads = count(option, value, 1, 1024);
  else if (option == "--operators") out.operators.push_back(value);
  else throw Error(option + ": no option of this program; see --help");
}

}  // namespace

std::optional<Arguments> parse_arguments(const std::vector<std::string>& words) {
  Arguments out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--help" || word == "-h") return std::nullopt;
    if (word == "--benchmark") {
      out.benchmark = true;
    } else if (word == "--equal-sizes") {
      out.mix_sizes = false;
    } else if (word.compare(0, 2, "--") == 0) {
      if (i + 1 == words.size()) throw Error(word + ": its value is missing; see --help");
      set(out, word, words[++i]);
    } else if (out.model.empty()) {
      out.model = word;
    } else {
      out.images.push_back(word);
    }
  }
  if (out.model.empty()) throw Error("no model was given; see --help");
  if (out.images.empty() && !out.benchmark) throw Error("no image was given; see --help");
  return out;
}

}  // namespace baimu

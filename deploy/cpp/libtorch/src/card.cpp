#include "card.h"

#include <algorithm>
#include <cmath>

#include "error.h"
#include "json.h"

namespace baimu {
namespace {

constexpr int kFormat = 1;  // a reader refuses a later one

std::vector<std::string> texts(const Json& list) {
  std::vector<std::string> out;
  for (const Json& item : list.items()) out.push_back(item.text());
  return out;
}

Preprocess preprocess_of(const Json& values) {
  Preprocess p;
  p.resize = values["resize"].text();
  p.size = values["size"].integer();
  p.max_size = values["max_size"].integer();
  p.pad_to = values["pad_to"].integer();
  p.crop_share = values["crop_share"].number();
  p.interpolation = values["interpolation"].text();
  if (!values["width"].is_null()) p.width = values["width"].integer();
  const Json::Array& mean = values["mean"].items();  // three in the order of the channels, or one of grey
  if (mean.size() != 3 && mean.size() != 1) throw Error("its mean is not of 1 or 3 channels");
  const bool bgr = values["channel_order"].text() == "bgr";
  for (std::size_t i = 0; i < 3; ++i) {
    const double byte = std::nearbyint(mean[mean.size() == 1 ? 0 : bgr ? 2 - i : i].number());
    p.padding[i] = static_cast<unsigned char>(std::clamp(byte, 0.0, 255.0));
  }
  if (p.size < 1 || p.max_size < 1 || p.pad_to < 1) throw Error("a size of its preprocessing is below 1");
  return p;
}

}  // namespace

Card Card::parse(const std::string& json, const std::string& path) {
  try {
    const Json values = Json::parse(json);
    if (values["format"].integer() > kFormat)
      throw Error("written by baimu " + values["version"].text() + ", later than this program; build a newer one");
    Card card;
    card.task = values["task"].text();
    if (!values["preprocess"]["kind"].is_null()) throw Error("its model takes no images");
    card.classes = texts(values["classes"]);
    card.preprocess = preprocess_of(values["preprocess"]);
    card.outputs = texts(values["outputs"]);
    card.takes_sizes = values["takes_sizes"].truth();
    if (!values["fixed_size"].is_null()) {
      const auto& sides = values["fixed_size"].items();
      if (sides.size() != 2) throw Error("its fixed size is no height and width");
      const auto side = [](const Json& value) { return value.is_null() ? 0 : value.integer(); };
      card.fixed_size = {side(sides[0]), side(sides[1])};
    }
    return card;
  } catch (const Error& error) {
    throw Error(path + ": what it says of its model cannot be used (" + error.what() + "); export it with baimu export");
  }
}

bool Card::has_output(const std::string& name) const {
  return std::find(outputs.begin(), outputs.end(), name) != outputs.end();
}

}  // namespace baimu

#include "models.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "batch.h"
#include "error.h"
#include "json.h"

namespace baimu {
namespace {

/// The common start of an image's line: {"source": …, "height": …, "width": …, "`list`": [
std::string begun(const Prepared& image, const std::string& list) {
  const Size size = image.frame.source;
  return "{\"source\": " + quoted(image.name) + ", \"height\": " + std::to_string(size.height) +
         ", \"width\": " + std::to_string(size.width) + ", \"" + list + "\": [";
}

std::string numbered(int label, float score, const std::string& name) {
  return "\"score\": " + written(score) + ", \"label\": " + std::to_string(label) + ", \"name\": " + quoted(name) + "}";
}

/// As Python's Frame.to_source, in its precision.
void to_source(float* box, const Frame& frame) {
  const float scale[2] = {static_cast<float>(frame.scale_x), static_cast<float>(frame.scale_y)};
  const float offset[2] = {static_cast<float>(frame.left), static_cast<float>(frame.top)};
  const float limit[2] = {static_cast<float>(frame.source.width), static_cast<float>(frame.source.height)};
  for (int i = 0; i < 4; ++i) box[i] = std::clamp((box[i] - offset[i % 2]) / scale[i % 2], 0.F, limit[i % 2]);
}

void require_shape(const Array& array, const std::vector<std::int64_t>& shape, const char* name) {
  if (array.shape != shape) throw Error(std::string("the graph gave ") + name + " of a shape that its card does not tell");
}

}  // namespace

BatchDetector::BatchDetector(Program& program, Card card, float score, bool mix_sizes)
    : BatchModel(program, std::move(card)), score_(score), mix_sizes_(mix_sizes) {
  if (!card_.has_output("counts")) throw Error("the graph ends before NMS; export the model without raw");
}

std::vector<std::vector<Detection>> BatchDetector::detect(const std::vector<Prepared>& images) {
  std::vector<std::vector<Detection>> out;
  if (mix_sizes_) detect_together(images, out);
  else
    for (const std::vector<Prepared>& part : parts_of_equal_size(images)) detect_together(part, out);
  return out;
}

void BatchDetector::detect_together(const std::vector<Prepared>& images, std::vector<std::vector<Detection>>& out) {
  const std::vector<Array> found = program_.run(collate(images, card_), card_.takes_sizes);
  if (found.size() < 4 || found[1].shape.size() != 2) throw Error("the graph gave no detections");
  const auto batch = static_cast<std::int64_t>(images.size()), most = found[1].shape[1];
  require_shape(found[0], {batch, most, 4}, "boxes");
  require_shape(found[1], {batch, most}, "scores");
  require_shape(found[2], {batch, most}, "labels");
  const std::size_t before = out.size();
  out.resize(before + images.size());
  for (std::size_t i = 0; i < images.size() * static_cast<std::size_t>(most); ++i) {
    Detection one{{}, found[1].values[i], static_cast<int>(found[2].values[i])};
    if (one.label < 0 || !(one.score >= score_)) continue;  // label -1 is padding
    if (one.label >= static_cast<int>(card_.classes.size())) throw Error("the graph gave a label without a name");
    const std::size_t image = i / static_cast<std::size_t>(most);
    std::copy_n(found[0].values.data() + 4 * i, 4, one.box);
    to_source(one.box, images[image].frame);
    out[before + image].push_back(one);
  }
}

std::vector<std::string> BatchDetector::tell(const std::vector<Prepared>& images) {
  std::vector<std::string> lines;
  for (const std::vector<Detection>& objects : detect(images)) {
    std::string line = begun(images[lines.size()], "objects");
    for (const Detection& one : objects) {
      if (&one != &objects.front()) line += ", ";
      line += "{\"box\": [" + written(one.box[0]);
      for (int i = 1; i < 4; ++i) line += ", " + written(one.box[i]);
      line += "], " + numbered(one.label, one.score, card_.classes[static_cast<std::size_t>(one.label)]);
    }
    lines.push_back(line + "]}");
  }
  return lines;
}

BatchClassifier::BatchClassifier(Program& program, Card card, int top)
    : BatchModel(program, std::move(card)), top_(top) {}

std::vector<std::vector<Guess>> BatchClassifier::classify(const std::vector<Prepared>& images) {
  std::vector<std::vector<Guess>> out;
  const auto classes = static_cast<std::int64_t>(card_.classes.size());
  for (const std::vector<Prepared>& part : parts_of_equal_size(images)) {
    const std::vector<Array> found = program_.run(collate(part, card_), card_.takes_sizes);
    if (found.empty()) throw Error("the graph gave no probabilities");
    require_shape(found[0], {static_cast<std::int64_t>(part.size()), classes}, "probabilities");
    for (std::size_t image = 0; image < part.size(); ++image) {
      const float* scores = found[0].values.data() + image * card_.classes.size();
      std::vector<int> order(card_.classes.size());
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [scores](int a, int b) { return scores[a] > scores[b]; });
      order.resize(std::min(order.size(), static_cast<std::size_t>(top_)));
      out.emplace_back();
      for (const int label : order) out.back().push_back({label, scores[label]});
    }
  }
  return out;
}

std::vector<std::string> BatchClassifier::tell(const std::vector<Prepared>& images) {
  std::vector<std::string> lines;
  for (const std::vector<Guess>& guesses : classify(images)) {
    std::string line = begun(images[lines.size()], "classes");
    for (const Guess& guess : guesses) {
      if (&guess != &guesses.front()) line += ", ";
      line += "{" + numbered(guess.label, guess.score, card_.classes[static_cast<std::size_t>(guess.label)]);
    }
    lines.push_back(line + "]}");
  }
  return lines;
}

std::unique_ptr<BatchModel> make_model(Program& program, Card card, const Arguments& arguments) {
  if (card.task == "detection")
    return std::make_unique<BatchDetector>(program, std::move(card), arguments.score, arguments.mix_sizes);
  if (card.task == "classification") return std::make_unique<BatchClassifier>(program, std::move(card), arguments.top);
  throw Error("the task " + card.task + " is not one of this program's: detection and classification");
}

}  // namespace baimu

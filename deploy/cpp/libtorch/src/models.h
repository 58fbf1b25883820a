#pragma once

#include <memory>
#include <string>
#include <vector>

#include "arguments.h"
#include "card.h"
#include "preprocess.h"
#include "program.h"

namespace baimu {

/// A model that looks at several images at once.
class BatchModel {
 public:
  virtual ~BatchModel() = default;

  const Card& card() const { return card_; }

  /// One line of JSON for each image, in order, as Python's `to_dict` of its result.
  virtual std::vector<std::string> tell(const std::vector<Prepared>& images) = 0;

 protected:
  BatchModel(Program& program, Card card) : program_(program), card_(std::move(card)) {}

  Program& program_;
  const Card card_;
};

struct Detection {
  float box[4];  // x1, y1, x2, y2 in pixels of the source
  float score;
  int label;
};

/// Detectors, whose NMS is in the graph.
class BatchDetector : public BatchModel {
 public:
  /// `score`: the lowest that is told. `mix_sizes`: images of several sizes share a batch; the graph knows what is
  /// padding, but its convolutions and group norms see it. Without, they are looked at in parts of equal size, and what
  /// is said of one does not depend on the others.
  BatchDetector(Program& program, Card card, float score, bool mix_sizes);

  /// The objects in each image, best first.
  std::vector<std::vector<Detection>> detect(const std::vector<Prepared>& images);
  std::vector<std::string> tell(const std::vector<Prepared>& images) override;

 private:
  void detect_together(const std::vector<Prepared>& images, std::vector<std::vector<Detection>>& out);

  float score_;
  bool mix_sizes_;
};

struct Guess {
  int label;
  float score;
};

class BatchClassifier : public BatchModel {
 public:
  /// `top`: how many classes are told.
  BatchClassifier(Program& program, Card card, int top);

  /// The best classes of each image, best first. Images whose input sizes differ are looked at in parts.
  std::vector<std::vector<Guess>> classify(const std::vector<Prepared>& images);
  std::vector<std::string> tell(const std::vector<Prepared>& images) override;

 private:
  int top_;
};

/// What the card's task asks for. Throws an Error for one that this program does not know.
std::unique_ptr<BatchModel> make_model(Program& program, Card card, const Arguments& arguments);

}  // namespace baimu

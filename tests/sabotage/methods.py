"""Faults in methods: how they add up their losses, and what they make of the numbers of their heads."""

from __future__ import annotations

from tests.sabotage.fault import Fault

DETECTORS = ("tests/detection/test_two_stage.py", "tests/detection/test_rpn.py")
DENSE = ("tests/detection/test_dense.py",)
GRADIENTS = ("tests/detection/test_parity_torchvision.py::test_faster_rcnn_has_the_same_losses_and_gradients",)

FAULTS = (
    Fault(
        "unknown-labels-counted",
        "the more labels of an image nobody knows, the less its others teach",
        "classification/classifier.py",
        "known.sum().clamp(min=1)",
        "known.numel()",
        ("tests/classification/test_losses.py",),
    ),
    Fault(
        "pixel-mean-over-all",
        "the loss of a segmenter falls with the share of undecided pixels",
        "semantic_segmentation/pixel_losses.py",
        "return losses.sum() / reduce_mean(weights.sum()).clamp(min=torch.finfo(torch.float32).tiny)",
        "return losses.mean()",
        ("tests/losses/test_pixels.py", "tests/semantic_segmentation/test_methods.py"),
    ),
    Fault(
        "fcos-box-normaliser",
        "FCOS's box loss is divided by the positives: it weighs half of what the paper gives it",
        "detection/fcos.py",
        "* quality).sum() / total_quality",
        "* quality).sum() / positives",
        DENSE,
    ),
    Fault(
        "fcos-score-without-centreness",
        "boxes of points far from the middle, which are poor, score as high as good ones",
        "detection/fcos.py",
        "return (score * quality).masked_fill(score <= threshold, 0), point, label",
        "return score.masked_fill(score <= threshold, 0), point, label",
        DENSE,
    ),
    Fault(
        "fcos-stride-forgotten",
        "FCOS's distances are in pixels at every level: large objects cannot be reached",
        "detection/fcos.py",
        "raw.relu() * stride if self.improved",
        "raw.relu() if self.improved",
        DENSE,
    ),
    Fault(
        "retinanet-normaliser",
        "RetinaNet's losses are divided by the images: the rate is wrong by the objects in them",
        "detection/retinanet.py",
        "reduce_mean((index >= 0).sum(1).clamp(min=1).sum().float())",
        "reduce_mean((index >= 0).any(1).clamp(min=1).sum().float())",
        DENSE,
    ),
    Fault(
        "score-threshold-ignored",
        "thousands of boxes of no score go to NMS, and a user's threshold changes nothing",
        "detection/retinanet.py",
        "score.masked_fill(score <= self.score_threshold, 0)",
        "score",
        DENSE,
    ),
    Fault(
        "rpn-normaliser",
        "the losses of region proposals are divided by the positive anchors",
        "detection/rpn.py",
        "count = reduce_mean(sampled.valid.sum().float()).clamp(min=1)",
        "count = reduce_mean(sampled.positive.sum().float()).clamp(min=1)",
        DETECTORS,
    ),
    Fault(
        "roi-box-normaliser",
        "the second stage's box loss is divided by the positives: four times its weight",
        "detection/two_stage.py",
        "return cls.sum() / count, box.sum() / count",
        "return cls.sum() / count, box.sum() / rois.positive.sum().clamp(min=1)",
        DETECTORS,
    ),
    Fault(
        "sigmoid-for-softmax",
        "Faster R-CNN's scores are of each class alone: a box gets several classes at once",
        "detection/faster_rcnn.py",
        "outputs.logits.float().softmax(-1)[..., :-1]",
        "outputs.logits.float().sigmoid()[..., :-1]",
        DETECTORS,
    ),
    Fault(
        "multi-label-by-softmax",
        "classes that do not exclude another take probability from each other",
        "classification/classifier.py",
        "return logits.sigmoid() if self.multi_label else logits.softmax(1)",
        "return logits.softmax(1)",
        ("tests/classification/test_classifier.py", "tests/inference/test_classifying.py"),
    ),
    Fault(
        "windows-added-up",
        "where windows overlap, logits count twice: borders of windows show in the result",
        "semantic_segmentation/segmenter.py",
        "return total.div_(count)",
        "return total",
        ("tests/semantic_segmentation/test_methods.py::test_windows_cover_the_image_and_overlap_is_averaged",),
    ),
    Fault(
        "detach-before-the-head",
        "the box head learns, what lies below it does not",
        "detection/faster_rcnn.py",
        "self.fc1(features.flatten(2))",
        "self.fc1(features.flatten(2).detach())",
        GRADIENTS,
    ),
)

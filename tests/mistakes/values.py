"""Values of a wrong type or range, settings that are none, arguments that are lacking or do not go together."""

from __future__ import annotations

from tests.mistakes.mistake import Mistake

TRAIN = "train resnet18 --data {animals}"
PHOTO = "predict {classifier.safetensors} {photo.jpg}"
FIND = "predict {detector.safetensors} {photo.jpg}"
BENCH = "bench {classifier.safetensors}"
FOLLOW = "track {photos} --model {follower.safetensors}"
ROWS = (
    Mistake("nothing to train on", "train resnet18", "say what to train on", "--data", "--data my_photos"),
    Mistake("nothing to look at", "predict {classifier.safetensors}", "name a model and what", "SOURCE", "photo.jpg"),
    Mistake("nothing at all to predict", "predict", "Missing argument", "[MODEL] SOURCE", "Try 'baimu predict --help'"),
    Mistake("nothing to score on", "eval {classifier.safetensors}", "Missing option", "'--data'", "baimu eval --help"),
    Mistake("no format to convert to", "data convert {yolo} out", "Missing option", "'--to'", "data convert --help"),
    Mistake("no model to index with", "index {photos}", "Missing option", "'--model'", "baimu index --help"),
    Mistake("setting without =", f"{TRAIN} epochs", "is not a setting", "'epochs'", "key=value"),
    Mistake("setting with blanks", f"{TRAIN} epochs = 5", "is not a setting", "'epochs'", "key=value"),
    Mistake("setting given twice", f"{TRAIN} epochs=3 epochs=4", "given twice", "epochs is", "epochs=3 and epochs=4"),
    Mistake("--set without =", f"{PHOTO} --set top", "is not a setting", "'top'", "key=value"),
    Mistake("--set without = to serve", "serve {classifier.safetensors} --set top", "KEY=VALUE", "--set top", "write"),
    Mistake("word for a number", f"{TRAIN} epochs=three", "recipe", "epochs='three'", "give a whole number"),
    Mistake("word for a rate", f"{TRAIN} lr=fast", "recipe", "lr='fast'", "give a number"),
    Mistake("no epochs", f"{TRAIN} epochs=0", "recipe", "epochs=0", "give at least 1"),
    Mistake("batch of none to train", f"{TRAIN} batch_size=0", "recipe", "batch_size=0", "give at least 1"),
    Mistake("half a batch", f"{TRAIN} batch_size=2.5", "recipe", "batch_size=2.5", "give a whole number"),
    Mistake("negative rate", f"{TRAIN} lr=-0.1", "recipe", "lr=-0.1", "give more than 0"),
    Mistake("rate that is no number", f"{TRAIN} lr=.nan", "recipe", "lr=nan", "give a finite number"),
    Mistake("negative workers", f"{TRAIN} workers=-1", "recipe", "workers=-1", "give at least 0"),
    Mistake("images without pixels", f"{TRAIN} size=0", "recipe", "size=0", "give at least 1"),
    Mistake("probability of 2", f"{TRAIN} flip=2", "recipe", "flip=2", "give at most 1"),
    Mistake("one value for several", f"{TRAIN} milestones=0.5", "recipe", "milestones=0.5", "such as 0.6,0.9"),
    Mistake(
        "optimiser with another's rate",
        f"{TRAIN} optimizer=adam",
        "was chosen for sgd",
        "lr=0.1",
        "give adam its own lr",
    ),
    Mistake(
        "wrong count of classes", f"{TRAIN} model.num_classes=5", "the data has 2", "num_classes=5", "leave it away"
    ),
    Mistake("no devices", f"{TRAIN} --devices 0", "greater than or equal to 1", "'--devices'", "baimu train --help"),
    Mistake("share in percent", f"{TRAIN} --val-fraction 20", "between 0 and 1", "val_fraction", "0.2 holds a fifth"),
    Mistake("batch of none", f"{PHOTO} --batch-size 0", "greater than or equal to 1", "'--batch-size'", "--help"),
    Mistake("score in percent", f"{PHOTO} --min-score 50", "less than or equal to 1", "'--min-score'", "--help"),
    Mistake("score that is no number", f"{PHOTO} --min-score nan", "Invalid value", "'--min-score'", "equal to 1"),
    Mistake("score in words", f"{PHOTO} --min-score half", "valid number", "'--min-score'", "predict --help"),
    Mistake(
        "threshold in percent",
        f"{FIND} --set score_threshold=50",
        "between 0 and 1",
        "score_threshold=50",
        "50 % is 0.5",
    ),
    Mistake(
        "threshold that is no number",
        f"{FIND} --set iou_threshold=nan",
        "between 0 and 1",
        "iou_threshold=nan",
        "give a number",
    ),
    Mistake("no detections wanted", f"{FIND} --set max_detections=0", "whole number", "max_detections=0", "at least 1"),
    Mistake("no classes wanted", f"{PHOTO} --top 0", "greater than or equal to 1", "'--top'", "baimu predict --help"),
    Mistake("word for a count", f"{PHOTO} --set top=three", "top=three", "top", "give a whole number"),
    Mistake(
        "scales in words",
        "predict {segmenter.safetensors} {photo.jpg} --set scales=big",
        "scales=big",
        "scales",
        "several with commas between",
    ),
    Mistake(
        "window without pixels",
        "predict {segmenter.safetensors} {photo.jpg} --set window=0",
        "pixels",
        "window=0",
        "at least 1",
    ),
    Mistake("label maps of a classifier", f"{PHOTO} --maps labels", "only a segmenter", "photo.jpg", "leave out"),
    Mistake("workers without their engine", f"{PHOTO} --workers 2", "Invalid value", "--workers", "--engine ray"),
    Mistake(
        "level that is not there",
        "explain {classifier.safetensors} {photo.jpg} --level 9",
        "not among the maps",
        "level 9",
        "2, 3, 4; give one of them",
    ),
    Mistake(
        "detection of a classifier",
        "explain {classifier.safetensors} {photo.jpg} --detection 0",
        "has no detections",
        "detection",
        "leave detection away",
    ),
    Mistake(
        "tracking with nothing", "track {photos}", "what is to be followed", "detections", "give a model that detects"
    ),
    Mistake("no box to follow", FOLLOW, "needs to know where it is", "first frame", "--box X,Y,WIDTH,HEIGHT"),
    Mistake("box of three numbers", f"{FOLLOW} --box 1,2,3", "'1,2,3' is not", "--box", "left,top,width,height"),
    Mistake("box beside the picture", f"{FOLLOW} --box 500,500,20,20", "no area", "photos/a.jpg", "give one in it"),
    Mistake(
        "box for many objects",
        "track {photos} --detections {good_det.txt} --box 1,1,20,20",
        "is for a tracker of one object",
        "box",
        "leave it away",
    ),
    Mistake(
        "tracker that needs more",
        "track {photos} --detections {good_det.txt} --tracker deepsort",
        "needs embed",
        "deepsort",
        "bytetrack and sort do without",
    ),
    Mistake(
        "size in words", "export {classifier.safetensors} --size big", "'big' is neither", "--size", "HEIGHTxWIDTH"
    ),
    Mistake(
        "size that does not divide",
        "export {detector.safetensors} --size 100",
        "this model's inputs",
        "size=100",
        "a multiple of",
    ),
    Mistake(
        "int8 without images",
        "export {classifier.safetensors} --precision int8",
        "take its ranges from",
        "int8",
        "give a hundred",
    ),
    Mistake("batches in words", f"{BENCH} --batch-sizes eight", "'eight' is not", "--batch-sizes", "such as 1,8"),
    Mistake("bench of no batch", f"{BENCH} --batch-sizes 0", "whole numbers", "batch_sizes=0", "at least 1"),
    Mistake("bench of no time", f"{BENCH} --seconds -1", "give the time", "seconds=-1", "for example 10"),
    Mistake("port that is none", "serve {classifier.safetensors} --port 99999", "65535", "'--port'", "serve --help"),
    Mistake(
        "two models of a name",
        "serve a={classifier.safetensors} a={detector.safetensors}",
        "two models of this name",
        "a:",
        "NAME=MODEL",
    ),
    Mistake("sheet of nothing", "data view {yolo} --count 0", "greater than or equal to 1", "'--count'", "view --help"),
)

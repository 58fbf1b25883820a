"""Mistakes in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import baimu
from tests.mistakes.mistake import Desk, Mistake


def look(source: object, **options: Any):
    """What :func:`baimu.predict` is given, for a classifier."""
    return lambda desk: baimu.predict(desk.model("classifier"), source, **options)


def look_at_photo(**options: Any):
    return lambda desk: baimu.predict(desk.model("classifier"), desk / "photo.jpg", **options)


def train(**options: Any):
    return lambda desk: baimu.train("squeezenet1_1", desk / "animals", epochs=1, **options)


def loaded_into_another(desk: Desk) -> object:
    return baimu.load(desk / "segmenter.safetensors", model=baimu.create_model("squeezenet1_1"))


THREE: Any = 3
ONE: Any = (64,)
WEB: Any = "web"
FLOAT, GREY = np.full((40, 60, 3), 3, np.float32), torch.full((3, 40, 60), 200.0)
ROWS = (
    Mistake("misspelt model", lambda desk: baimu.create_model("fcos_r50_fp"), "unknown model", "'fcos_r50_fp'", "mean fcos_r50_fpn"),
    Mistake("misspelt argument", lambda desk: baimu.create_model("unet_s5_d16", num_class=3), "unknown argument", "'num_class'", "mean num_classes"),
    Mistake("no classes", lambda desk: baimu.create_model("squeezenet1_1", num_classes=0), "got 0", "num_classes", "at least 1"),
    Mistake("classes in words", lambda desk: baimu.create_model("squeezenet1_1", num_classes="three"), "'three'", "num_classes", "a whole number"),
    Mistake("misspelt task of models", lambda desk: baimu.list_models(task="detecton"), "unknown task", "'detecton'", "mean detection"),
    Mistake("misspelt model to look up", lambda desk: baimu.model_info("resnet1"), "unknown model", "'resnet1'", "mean resnet18"),
    Mistake("checkpoint that is gone", lambda desk: baimu.load("gone.safetensors"), "no such checkpoint", "gone.safetensors", "check the path"),
    Mistake("misspelt as_", lambda desk: baimu.load(desk / "strange.pth", as_="resnt18"), "unknown model", "'resnt18'", "mean resnet18"),
    Mistake("checkpoint of another model", loaded_into_another, "belongs to another model", "{segmenter.safetensors}", "Build the model"),
    Mistake("floats beyond 1", look(FLOAT), "must lie in 0…1", "image 0", "scale them"),
    Mistake("tensor of 0 to 255", look(GREY), "must lie in 0…1", "image 0", "convert them to uint8"),
    Mistake("pixels that are no number", look(np.full((40, 60, 3), np.nan)), "from nan to nan", "image 0", "0…1"),
    Mistake("channels first in numpy", look(np.zeros((3, 40, 60), np.uint8)), "got (3, 40, 60)", "image 0", "array.transpose(1, 2, 0)"),
    Mistake("channels last in torch", look(torch.zeros(40, 60, 3)), "got (40, 60, 3)", "image 0", "tensor.permute(2, 0, 1)"),
    Mistake("seven channels", look(np.zeros((40, 60, 7), np.uint8)), "got (40, 60, 7)", "image 0", "(H, W, 3)"),
    Mistake("array without pixels", look(np.zeros((0, 60, 3), np.uint8)), "has no pixels", "image 0", "see where it was cut"),
    Mistake("nothing to look at", look(None), "cannot look for objects in NoneType", "NoneType", "give a path"),
    Mistake("number to look at", look(3.5), "cannot look for objects in float", "float", "give a path"),
    Mistake("nothing in a list", look([FLOAT / 3, None]), "cannot look for objects in NoneType", "image 1", "give a path"),
    Mistake("folder in a list", lambda desk: baimu.predict(desk.model("classifier"), [desk / "photos"]), "single images", "{photos}", "by itself"),
    Mistake("batch of none", look_at_photo(batch_size=0), "whole number", "batch_size=0", "at least 1"),
    Mistake("misspelt precision", look_at_photo(precision="fp61"), "unknown precision", "'fp61'", "mean fp16"),
    Mistake("misspelt option", look_at_photo(score_treshold=0.5), "unknown option", "'score_treshold'", "mean score_threshold"),
    Mistake("threshold in percent", look_at_photo(score_threshold=50), "between 0 and 1", "score_threshold=50", "50 % is 0.5"),
    Mistake("threshold as text", look_at_photo(score_threshold="0.5"), "between 0 and 1", "score_threshold='0.5'", "give a number"),
    Mistake("device that is none", look_at_photo(device="gpu"), "unknown device", "'gpu'", "write cpu, cuda"),
    Mistake("network of somebody else", lambda desk: baimu.predict(torch.nn.Identity(), desk / "photo.jpg"), "not a model of", "Identity", "give one of baimu's"),
    Mistake("data that are a number", lambda desk: baimu.eval(desk.model("classifier"), 7), "must be a path", "not 7", "a data set"),
    Mistake("scoring in batches of none", lambda desk: baimu.eval(desk.model("classifier"), desk / "animals", batch_size=0), "whole number", "batch_size=0", "at least 1"),
    Mistake("no data", lambda desk: baimu.train("squeezenet1_1", None), "must be a path", "not None", "'playground'"),
    Mistake("misspelt field", train(epoch=3), "unknown recipe field", "'epoch'", "mean epochs"),
    Mistake("share in words", train(val_fraction="a fifth"), "between 0 and 1", "val_fraction", "0.2 holds a fifth out"),
    Mistake("run that is gone", lambda desk: train(resume=desk / "gone")(desk), "no run to continue", "{gone}", "start without resume"),
    Mistake("model of five classes for two", lambda desk: baimu.train(baimu.create_model("squeezenet1_1", num_classes=5), desk / "animals", epochs=1), "the data 2 classes", "num_classes=5", "build it with num_classes=2"),
    Mistake("run without a checkpoint", lambda desk: baimu.Run(desk / "gone").scores, "cannot be read", "best.safetensors", "check the path"),
    Mistake("tracker that is a number", lambda desk: baimu.track(desk / "photos", detections=desk / "good_det.txt", tracker=THREE), "give one of", "tracker=3", "bytetrack"),
    Mistake("classifier to track", lambda desk: baimu.track(desk / "photos", model=desk.model("classifier")), "finds no boxes", "model", "give a detector"),
    Mistake("segmenter to index", lambda desk: baimu.index(desk / "photos", desk.model("segmenter")), "semantic_segmentation", "is a model for", "give an embedder"),
    Mistake("summary of a number", lambda desk: baimu.data(THREE), "must be a path", "not 3", "'playground'"),
    Mistake("misspelt format", lambda desk: baimu.convert_data(desk / "yolo", "out", to="coc"), "unknown format", "'coc'", "mean coco"),
    Mistake("size of one side in a tuple", lambda desk: baimu.export(desk.model("segmenter"), "x.onnx", size=ONE), "give a side", "size=(64,)", "height and width"),
    Mistake("misspelt runtime", lambda desk: baimu.bench(desk.model("classifier"), runtimes=["onx"]), "unknown runtime", "'onx'", "mean onnx"),
    Mistake("port in words", lambda desk: baimu.serve(desk.model("classifier"), port=WEB, block=False), "cannot be listened on", ":web", "another host or port"),
)  # fmt: skip

"""Data sets that are not there, of another kind, or broken."""

from __future__ import annotations

from tests.mistakes.mistake import Mistake

SORT = "train squeezenet1_1 --data"
FIND = "train fcos_r18_fpn --dry-run --data"
ROWS = (
    Mistake("data that are not there", f"{SORT} {{gone}}", "no such file or folder", "{gone}", "check the path"),
    Mistake("misspelt folder", f"{SORT} {{anmals}}", "no such file or folder", "{anmals}", "did you mean {animals}"),
    Mistake("address for data", f"{SORT} https://example.org/d.zip", "is an address", "https://example.org", "download"),
    Mistake("picture for data", f"{SORT} {{photo.jpg}}", "no data set that can be recognised", "{photo.jpg}", "class folders:"),
    Mistake("empty folder", f"{SORT} {{empty}}", "the folder is empty", "{empty}", "class folders:"),
    Mistake("classes without images", f"{SORT} {{empty_classes}}", "no data set", "{empty_classes}", "CLASS/*.jpg"),
    Mistake("pictures without classes", f"{SORT} {{pictures_only}}", "no data set", "{pictures_only}", "CLASS/*.jpg"),
    Mistake("a single class", f"{SORT} {{one_class}}", "of one class, 'cat'", "{one_class}", "two classes or more"),
    Mistake("boxes for a classifier", f"{SORT} {{yolo}}", "is a data set for detection", "{yolo}", "class folders:"),
    Mistake("validation that is not there", f"{SORT} {{animals}} --val {{gone}}", "no such file", "{gone}", "check the path"),
    Mistake("no playground of the kind", f"{SORT} playground", "nothing for classification", "playground", "data of your own"),
    Mistake("list of images that are gone", f"{SORT} {{table.csv}}", "no image is left", "{table.csv}, line 2", "is not there"),
    Mistake("list with other columns", f"{SORT} {{columns.csv}}", "no column of image paths", "among a, b", "image=COLUMN"),
    Mistake("classes for a detector", f"{FIND} {{animals}}", "is a data set for classification", "{animals}", "COCO:"),
    Mistake("pictures without boxes", f"{FIND} {{pictures_only}}", "no data set", "{pictures_only}", "YOLO: data.yaml"),
    Mistake("the labels' folder", f"{FIND} {{yolo/labels}}", "and this model is for detection", "{yolo/labels}", "images/ with labels/"),
    Mistake("the images' folder", f"{FIND} {{yolo/images/train}}", "no data set", "{yolo/images/train}", "images/ with labels/"),
    Mistake(
        "drawn count in words",
        f"{FIND} playground:train=many",
        "must be a whole number",
        "train='many'",
        "as in playground:train=1000",
    ),
    Mistake("COCO without categories", f"{FIND} {{coco_no_categories}}", "lacks 'categories'", "annotations.json", "export"),
    Mistake("COCO without images", f"{FIND} {{coco_no_images}}", "lacks 'images'", "annotations.json", "export"),
    Mistake("COCO without pictures", f"{FIND} {{coco_no_pictures}}", "none of its 2 images", "annotations.json", "Put the images"),
    Mistake("JSON cut off", f"{FIND} {{half.json}}", "cannot be read as JSON", "{half.json}", "export the annotations again"),
    Mistake("JSON of something else", f"{FIND} {{list.json}}", "is not a COCO detection file", "{list.json}", "export"),
    Mistake("XML cut off", f"{FIND} {{voc_broken}}", "is not readable XML", "Annotations/a.xml", "needs at least one"),
    Mistake("YOLO without names", f"{FIND} {{yolo_no_names}}", "names no class", "data.yaml", "under 'names'"),
    Mistake("YAML that is none", f"{FIND} {{broken.yaml}}", "cannot be read as YAML", "line 2", "mend it there"),
    Mistake("outlines that are not there", "train unet_r18 --data {pictures_only}", "no data set", "{pictures_only}", "masks/"),
    Mistake("class that the model lacks", "eval {classifier.safetensors} --data {three}", "unknown to the model", "owl", "take them out"),
    Mistake("boxes to score a classifier on", "eval {classifier.safetensors} --data {yolo}", "data set for detection", "{yolo}", "class folders:"),
    Mistake("classes to score a detector on", "eval {detector.safetensors} --data {animals}", "data set for classification", "{animals}", "COCO:"),
    Mistake("classes to score a segmenter on", "eval {segmenter.safetensors} --data {animals}", "data set for classification", "{animals}", "label maps:"),
    Mistake("summary of what is not there", "data {gone}", "no such file or folder", "{gone}", "check the path"),
    Mistake("check of what is not there", "data check {gone}", "no such file or folder", "{gone}", "check the path"),
    Mistake("wrong kind asked for", "data {yolo} --kind classification", "is a data set for detection", "{yolo}", "class folders:"),
    Mistake("label ids too high", "data check {yolo_high_id}", "has class 7", "labels/train/a.txt, line 1", "there are 2 classes", 1),
    Mistake("pixels where shares belong", "data check {yolo_pixels}", "look like pixels", "labels/train/a.txt, line 1", "Divide them by", 1),
    Mistake("web page among the pictures", "data check {damaged} --deep", "is a web page", "dog/9.png", "download it again", 1),
    Mistake("mended copy inside the data", "data check {yolo} --fix {yolo/mended}", "never written to", "{yolo/mended}", "elsewhere"),
    Mistake("converted into a full folder", "data convert {yolo} {photos} --to coco", "holds something", "{photos}", "name a new folder"),
    Mistake("converted into a file", "data convert {yolo} {photo.jpg} --to coco", "holds something", "{photo.jpg}", "name a new folder"),
)  # fmt: skip

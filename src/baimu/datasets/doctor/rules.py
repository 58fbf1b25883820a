"""Every rule that a data set can break: the codes are stable, docs/data_rules.md is made from this table.

A letter says what a rule is about: F files and folders, I images, B boxes, A the records of annotations, M masks and
label maps, C classes, S splits, T tracks, X texts. A code that is no longer needed is never given to another rule.
"""

# ruff: noqa: E501  (a rule is a line)

from __future__ import annotations

from typing import NamedTuple

SEVERITIES = ("error", "warning", "note")
"""An error is skipped, left out or read wrongly, or stops the training; a warning is probably not what was meant; a note
is legal and worth knowing."""


class Rule(NamedTuple):
    """``fix`` is what ``--fix`` does about it; empty: only a person can."""

    code: str
    severity: str
    title: str
    mend: str
    fix: str = ""


_LEFT, _SKIPPED = "the image is left out", "the annotation is left out"

_FILES = (
    ("F101", "error", "annotation file cannot be read", "Export it again: it is damaged, or not UTF-8, JSON, XML, YAML.", _LEFT),
    ("F102", "error", "annotation file lacks what its format needs", "Add the keys or columns that the message names."),
    ("F103", "error", "no image", "Put the images where the message looked for them."),
    ("F104", "error", "no class is defined", "Name the classes: `categories`, `names` or classes.txt."),
    ("F105", "warning", "annotation file of no image", "Restore its image, or remove the file.", "the file is left out"),
    ("F106", "error", "file name leaves the data folder", "Write names relative to the folder of the images.", _LEFT),
    ("F107", "error", "a list names an image that is not there", "Restore the image, or remove the line.", "the line is left out"),
    ("F108", "warning", "image without annotation file", "Annotate it, or remove it.", _LEFT),
    ("F109", "note", "image that no annotation file lists", "List it, with or without objects, if it should train.", _LEFT),
    ("F110", "error", "two images share one annotation", "Rename one of the images and annotate it.", "the second image is left out"),
    ("F111", "note", "files that are no images", "Remove them, or convert them to an image format.", "the files are left out"),
    ("F112", "warning", "image in no class folder", "Move it into the folder of its class.", _LEFT),
    ("F113", "warning", "a list names an image twice", "Remove one of the lines.", "it is listed once"),
    ("F114", "warning", "file names differ only in case", "Rename one: on some systems they are the same file."),
    ("F115", "warning", "file name with control characters", "Rename it: many tools cannot write such a name."),
    ("F116", "error", "a split is not there, or is not clear", "Correct the path of the split."),
)  # fmt: skip

_IMAGES = (
    ("I101", "error", "image file is missing", "Restore the file, or remove its annotations.", _LEFT),
    ("I102", "error", "image file is empty", "Copy or download it again.", _LEFT),
    ("I103", "error", "file is a web page or XML text", "Download the image again.", _LEFT),
    ("I104", "error", "image cannot be read", "Replace it, or convert it to PNG or JPEG.", _LEFT),
    ("I105", "error", "image has too many pixels", "Scale it down, or raise PIL.Image.MAX_IMAGE_PIXELS.", _LEFT),
    ("I106", "error", "not a regular file", "Replace the folder, pipe or device by an image file.", _LEFT),
    ("I107", "error", "image has another size than its annotations say", "Restore the image that was annotated, or correct the size.", _LEFT + "; VOC: its own size is written"),
    ("I108", "note", "annotated without EXIF rotation", "Nothing must be done: the image is used as it was annotated."),
    ("I109", "warning", "size in the annotations is none", "Write width and height in pixels.", "the image's size is written"),
    ("I110", "note", "suffix names another format than the content", "Rename the file."),
    ("I111", "note", "extreme shape", "Check that it is an image of the set: a side is more than 20 times the other."),
    ("I112", "note", "tiny image", "Check that it is not a thumbnail: a side has less than 8 pixels."),
    ("I113", "note", "several pictures in one file", "Only the first is used; save the others as files of their own."),
    ("I114", "error", "pixels are damaged or truncated", "Copy or download it again.", _LEFT),
    ("I115", "warning", "the same image twice in a split", "Remove one of them."),
    ("I116", "note", "two images of a split are nearly the same", "Check whether both are wanted."),
    ("I117", "warning", "image of a single colour", "Check that it is not a failed export."),
    ("I118", "warning", "one file listed as two images", "Join their annotations."),
    ("I119", "error", "image record without id or file name", "Give it both.", _LEFT),
    ("I120", "error", "image id used twice", "Give each image its own id.", "the second image is left out"),
)  # fmt: skip

_BOXES = (
    ("B101", "error", "box is not four finite numbers", "Correct or remove the box.", _SKIPPED),
    ("B102", "error", "box without area", "Draw the box again.", _SKIPPED),
    ("B103", "error", "box outside the image", "Check the coordinates and the image they belong to.", _SKIPPED),
    ("B104", "warning", "box partly outside the image", "Clip it to the image.", "the box is clipped"),
    ("B105", "warning", "box narrower than a pixel", "Check the units of the coordinates."),
    ("B106", "error", "box ends before it begins", "Exchange the corners, or make width and height positive.", _SKIPPED),
    ("B107", "warning", "the same box twice", "Remove one of them.", "the second is left out"),
    ("B108", "warning", "one box with two classes", "Keep the right one."),
    ("B109", "error", "boxes look like fractions of the image", "Multiply them by the image's width and height."),
    ("B110", "error", "boxes look like corners", "Write x, y, width, height instead of x1, y1, x2, y2."),
    ("B111", "error", "coordinates look like pixels", "Divide them by the image's width and height.", _SKIPPED),
    ("B112", "warning", "area larger than the box", "Write the area of the mask, or of the box."),
    ("B113", "warning", "area is none", "Leave it away, or write the area of the mask.", "the box's area is written"),
    ("B114", "note", "VOC boxes count pixels from 0", "Nothing must be done, if the half pixel is no matter.", "the edge is written as 1"),
    ("B115", "note", "box covers the whole image", "Check that it is an object and not a label of the image."),
    ("B116", "note", "box of extreme shape", "Check it: a side is more than 50 times the other."),
)  # fmt: skip

_RECORDS = (
    ("A101", "error", "record is malformed", "Write it as its format wants it.", _SKIPPED),
    ("A102", "error", "annotation of an image that is not listed", "List the image, or correct image_id.", _SKIPPED),
    ("A103", "error", "unknown class", "Add the class, or correct the number or name.", _SKIPPED),
    ("A104", "error", "object without class name", "Name its class.", _SKIPPED),
    ("A105", "warning", "annotation repeated", "Remove one of them.", "the second is left out"),
    ("A106", "warning", "annotation id used twice", "Give each its own id.", "the second gets a new id"),
    ("A107", "warning", "annotation id is no whole number from 0", "Give it such an id.", "it gets a new id"),
    ("A109", "warning", "crowd or difficult is neither 0 nor 1", "Write 0 or 1.", "0 is written"),
    ("A110", "error", "wrong number of columns", "Write class, centre and size, or class and three points or more.", _SKIPPED),
    ("A112", "note", "crowd with polygons", "COCO's own crowds have run lengths; polygons are read as well."),
)  # fmt: skip

_MASKS = (
    ("M101", "error", "outline cannot be read", "A polygon is three finite points or more.", "the box stays, without outline"),
    ("M102", "error", "run lengths do not fit the image", "Write them for the image's size.", "the box stays, without outline"),
    ("M104", "warning", "objects without outline among others with one", "Outline them: their boxes serve as masks."),
    ("M105", "warning", "outline and box do not agree", "Correct one of them."),
    ("M106", "error", "outline encloses nothing", "Draw it again.", _SKIPPED),
    ("M107", "warning", "outline leaves the image", "Check the coordinates and the image they belong to."),
    ("M201", "error", "image without label map or mask", "Draw its map, or remove the image.", _LEFT),
    ("M202", "warning", "label map of no image", "Restore its image, or remove the map.", "the map is left out"),
    ("M203", "warning", "second label map of an image", "Remove one of them.", "the map is left out"),
    ("M204", "error", "label map has another size than its image", "Export it again in the image's size.", _LEFT),
    ("M205", "error", "label map cannot be read", "Restore it, or remove it with its image.", _LEFT),
    ("M206", "error", "label map has a value that is no class", "Add the class, or make these pixels undecided (255).", _LEFT),
    ("M207", "warning", "label maps without class file", "Write classes.txt.", "classes.txt is written"),
    ("M208", "note", "values 0 and 255 alone", "Nothing must be done: 255 is taken as a class.", "1 is written for 255"),
    ("M209", "note", "0 taken as background", "Name it in the class file.", "background is named"),
    ("M210", "warning", "label map saved with losses", "Save it as PNG: JPEG changes values at borders."),
    ("M211", "warning", "label map is undecided everywhere", "Draw it, or remove the image."),
    ("M212", "error", "colours that no class file explains", "Write label_colors.txt, one class a line."),
)  # fmt: skip

_CLASSES = (
    ("C101", "error", "class id defined twice", "Remove one of them.", "the first is kept"),
    ("C102", "error", "two classes of one name", "Rename one, or join them."),
    ("C103", "error", "class without id or name", "Give it both.", "the class is left out"),
    ("C104", "warning", "class without any example", "Find examples, or remove the class."),
    ("C105", "warning", "class in validation that training lacks", "Split the data anew."),
    ("C106", "warning", "class in training that validation lacks", "Split the data anew: it is never measured."),
    ("C107", "note", "classes out of balance", "More examples of the rare ones, or sampling and weights."),
    ("C108", "warning", "class names nearly the same", "Join the classes, or rename one."),
    ("C109", "warning", "splits number the classes differently", "Give all splits the same list.", "classes are numbered alike"),
    ("C110", "error", "a split has a class that training does not know", "Give all splits the same classes."),
    ("C111", "error", "one class alone: nothing to tell apart", "Give two classes or more."),
    ("C113", "error", "numbers of the classes have gaps", "Number them 0, 1, 2, …"),
)  # fmt: skip

_SPLITS = (
    ("S101", "error", "one file in two splits", "Remove it from one of them.", "it is left out of the earlier of train, val, test"),
    ("S102", "error", "the same image in two splits", "Remove it from one of them.", "it is left out of the earlier of train, val, test"),
    ("S103", "warning", "nearly the same image in two splits", "Keep pictures of one scene in one split."),
)  # fmt: skip

_TRACKS = (
    ("T101", "error", "line of a track file is malformed", "Write frame, id, left, top, width, height, score.", "the line is left out"),
    ("T102", "error", "frame that is not there", "Frames are whole numbers from 1 to the last.", "the line is left out"),
    ("T103", "error", "box of a track without area", "Draw it again.", "the line is left out"),
    ("T104", "error", "an identity twice in one frame", "Give each its own id.", "the second is left out"),
    ("T105", "warning", "seqinfo.ini tells another length", "Correct seqLength, or restore the frames.", "it is written anew"),
    ("T106", "warning", "seqinfo.ini tells another size", "Correct imWidth and imHeight.", "it is written anew"),
    ("T107", "error", "a frame is missing between others", "Restore it: all later boxes lie on wrong frames."),
    ("T108", "error", "frames of several sizes", "Export the frames again in one size."),
    ("T109", "warning", "box of a track outside the image", "Correct or remove it.", "the line is left out"),
    ("T110", "note", "fewer than two boxes to follow", "Annotate more frames, or remove it.", "the track is left out"),
    ("T111", "note", "a track jumps", "Check that it did not pass to another object."),
    ("T112", "warning", "sequence without a track that counts", "Annotate it, or remove it.", "the sequence is left out"),
    ("T113", "warning", "a track changes its class", "Give it one class."),
    ("T114", "error", "lines and frames differ in number", "Write one line a frame."),
    ("T115", "warning", "marks and frames differ in number", "Write one mark a frame."),
    ("T116", "error", "a frame cannot be read", "Restore it: a sequence needs all its frames."),
)  # fmt: skip

_TEXTS = (
    ("X101", "error", "no text", "Write it, or remove the line.", "the line is left out"),
    ("X102", "error", "no label", "Write it, or remove the line.", "the line is left out"),
    ("X103", "error", "line of another form", "Write it like the others.", "the line is left out"),
    ("X104", "warning", "the same text twice", "Remove one of them.", "the second is left out"),
    ("X105", "warning", "one text with two labels", "Keep the right one."),
    ("X106", "error", "the same text in two splits", "Remove it from one of them.", "it is left out of the earlier of train, val, test"),
    ("X107", "warning", "replacement or control characters in a text", "Save it again as UTF-8 from the original."),
    ("X108", "note", "text marked as unreadable", "Nothing must be done: the line is left out.", "the line is left out"),
    ("X109", "error", "character that characters.txt lacks", "Add it, or correct the text.", "the line is left out"),
)  # fmt: skip

TABLE = (_FILES, _IMAGES, _BOXES, _RECORDS, _MASKS, _CLASSES, _SPLITS, _TRACKS, _TEXTS)
RULES: dict[str, Rule] = {row[0]: Rule(*row) for rows in TABLE for row in rows}
"""By code."""

DEEP = ("I114", "I115", "I116", "I117", "S102", "S103")
"""Rules that only pixels tell."""

THEMES = {
    "F": "Files and folders",
    "I": "Images",
    "B": "Boxes",
    "A": "Records of annotations",
    "M": "Masks and label maps",
    "C": "Classes",
    "S": "Splits",
    "T": "Tracks",
    "X": "Texts",
}
"""By a code's first letter."""

"""What comes out: one validated dataclass a task, at the edge of the library only, in the source's own pixels."""

from baimu.results.classification import Classification, Guess
from baimu.results.detections import Detections
from baimu.results.embedding import Embedding, Match, Matches
from baimu.results.explanation import Explanation
from baimu.results.picture import Picture
from baimu.results.reading import Candidate, Reading
from baimu.results.result import Result
from baimu.results.segmentation import Area, Segmentation
from baimu.results.text_label import TextLabel
from baimu.results.tracks import Tracks
from baimu.results.unread import Unread

__all__ = [
    "Area",
    "Candidate",
    "Classification",
    "Detections",
    "Embedding",
    "Explanation",
    "Guess",
    "Match",
    "Matches",
    "Picture",
    "Reading",
    "Result",
    "Segmentation",
    "TextLabel",
    "Tracks",
    "Unread",
]

"""What comes out: one validated dataclass a task, at the edge of the library only, in the source's own pixels."""

from baimu.results.classification import Classification, Guess
from baimu.results.detections import Detections
from baimu.results.explanation import Explanation
from baimu.results.result import Result

__all__ = ["Classification", "Detections", "Explanation", "Guess", "Result"]

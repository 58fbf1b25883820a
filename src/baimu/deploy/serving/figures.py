"""What a server counts, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Figures:
    """Counters of one server; of a second in the same process there are others. Label values are of the server's own
    making, so that no request adds one."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        ProcessCollector(registry=own)
        self._answers = Counter("baimu_answers", "Requests answered.", ["model", "status"], registry=own)
        self._seconds = Histogram(
            "baimu_answer_seconds", "From a request's headers to its answer.", ["model"], registry=own
        )
        self._images = Histogram(
            "baimu_batch_images", "Images of a batch.", ["model"], buckets=(1, 2, 4, 8, 16, 32, 64), registry=own
        )
        self._network = Histogram("baimu_batch_seconds", "Time of a batch in the network.", ["model"], registry=own)
        self._version = Gauge("baimu_model_version", "How often a model was loaded.", ["model"], registry=own)
        self._held = Gauge("baimu_images_in_hand", "Images that wait or are worked on.", registry=own)
        self._bytes = Gauge("baimu_body_bytes", "Of the bodies in memory.", registry=own)

    def answered(self, model: str, status: int, seconds: float) -> None:
        self._answers.labels(model, str(status)).inc()
        self._seconds.labels(model).observe(seconds)

    def batch(self, model: str) -> Callable[[int, float], None]:
        """What hears of a model's batches: how many, and the seconds."""
        images, network = self._images.labels(model), self._network.labels(model)

        def told(size: int, seconds: float) -> None:
            images.observe(size)
            network.observe(seconds)

        return told

    def loaded(self, model: str, version: int) -> None:
        self._version.labels(model).set(version)

    def in_hand(self, images: Callable[[], int], size: Callable[[], int]) -> None:
        """Where to look for what is in hand when the figures are asked for."""
        self._held.set_function(lambda: float(images()))
        self._bytes.set_function(lambda: float(size()))

    def text(self) -> bytes:
        return generate_latest(self.registry)

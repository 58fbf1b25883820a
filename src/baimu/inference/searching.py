"""``baimu.index`` and ``baimu.search``: the embeddings of many images kept in a file, and those nearest to another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from baimu.datasets.images import decode_image
from baimu.errors import CheckpointError, DataError, unknown
from baimu.inference.predictor import Precision, Predictor, load_model
from baimu.inference.sources import open_images
from baimu.results import Embedding, Match, Matches
from baimu.results.result import extra
from baimu.weights.archive import read_archive, write_archive

SUFFIX = ".index"
FORMAT = 1
"""Version of the file. A reader refuses a later one."""
ENGINES = ("torch", "faiss", "faiss-ivf", "faiss-hnsw")
"""What looks: torch and faiss compare all vectors, the others most of the likely ones."""
CHUNK = 1 << 26
"""Similarities computed at a time."""


@dataclass(frozen=True, eq=False)
class Index:
    """Images and their embeddings: ``vectors`` (N, D) float32 of length 1, of the files ``sources`` (N), which show
    ``names`` (N; the name of the folder, empty for files of the indexed folder itself).

    ``model`` is the checkpoint or run that made them, ``made_by`` the sum over its parameters by which it is known
    again.
    """

    vectors: np.ndarray
    sources: tuple[str, ...]
    names: tuple[str, ...]
    model: str
    made_by: str

    def __len__(self) -> int:
        return len(self.vectors)

    def save(self, path: str | Path) -> Path:
        """Write to ``path``, a safetensors file with a checksum; whole or not at all."""
        document = {
            "index": FORMAT, "sources": self.sources, "names": self.names, "model": self.model, "made_by": self.made_by,
        }  # fmt: skip
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_archive(path, {"vectors": torch.from_numpy(self.vectors)}, document)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Index:
        """Raises :class:`~baimu.errors.DataError` for a file that is absent or no index,
        :class:`~baimu.errors.CheckpointError` for a damaged one."""
        path = Path(path)
        if not path.is_file():
            raise DataError(
                f"{path}: there is no such index; make it with: baimu index FOLDER --model RUN --out {path}"
            )
        try:
            tensors, document = read_archive(path)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; an index is made with: baimu index FOLDER --model RUN") from None
        if document.get("index") != FORMAT:
            found = "a checkpoint" if "index" not in document else f"of version {document['index']}"
            raise DataError(f"{path}: is {found}, not an index of version {FORMAT}; make one with baimu index")
        sources, names = tuple(document["sources"]), tuple(document["names"])
        return cls(tensors["vectors"].numpy(), sources, names, document["model"], document["made_by"])

    def nearest(self, vectors: np.ndarray, top: int, *, engine: str = "torch") -> tuple[np.ndarray, np.ndarray]:
        """Positions (Q, top) and cosines of the images nearest to ``vectors`` (Q, D), the most alike first; of fewer
        than ``top`` images all.

        ``engine``: ``torch``; ``faiss``, the same by another library; ``faiss-ivf`` and ``faiss-hnsw`` look at a part
        of the vectors and miss a few (all three need faiss).
        """
        if engine not in ENGINES:
            raise unknown("search engine", engine, ENGINES)
        if vectors.shape[1:] != self.vectors.shape[1:]:
            raise DataError(
                f"the index holds {self.vectors.shape[1]} numbers an image, the model gives {vectors.shape[-1]}; "
                f"search with the model that made it: {self.model}"
            )
        top = min(top, len(self))
        if engine == "torch":
            parts = [*self._compare(vectors.astype(np.float32), top)]
            return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        cosine, position = self._faiss(engine).search(np.ascontiguousarray(vectors, np.float32), top)
        return position, cosine

    def _compare(self, vectors: np.ndarray, top: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        own = torch.from_numpy(self.vectors)
        for part in torch.from_numpy(vectors).split(max(1, CHUNK // max(1, len(self)))):
            cosine, position = (part @ own.T).topk(top)
            yield position.numpy(), cosine.numpy()

    @cached_property
    def _structures(self) -> dict[str, Any]:
        return {}

    def _faiss(self, engine: str) -> Any:
        """faiss's structure for ``engine``, made once."""
        if engine not in self._structures:
            self._structures[engine] = self._built(engine)
        return self._structures[engine]

    def _built(self, engine: str) -> Any:
        faiss = extra("faiss")
        count, dim = self.vectors.shape
        if engine == "faiss-hnsw":
            made = faiss.IndexHNSWFlat(dim, 32, faiss.METRIC_INNER_PRODUCT)
        elif engine == "faiss-ivf":
            lists = max(1, min(round(4 * count**0.5), count // 39))  # faiss wants 39 vectors a list
            made = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
            made.nprobe = min(16, lists)
            made.train(self.vectors)
        else:
            made = faiss.IndexFlatIP(dim)
        made.add(self.vectors)
        return made


def index(
    folder: Any,
    model: nn.Module | str | Path,
    *,
    out: str | Path | None = None,
    batch_size: int = 32,
    workers: int = 2,
    device: str | torch.device | None = None,
    precision: Precision = "fp32",
) -> Index:
    """Embed every image of ``folder`` (or a pattern, or a list of files) with ``model`` and write them to ``out``.

    ``model``: a checkpoint, a run folder or published weights of an embedder; an object will do where nothing is
    written or the search is given it too. ``out``: by default beside the folder, ``photos.index``; what an image
    shows is the name of the folder that it lies in.

    Raises :class:`~baimu.errors.DataError` without images and for a model of another task,
    :class:`~baimu.errors.ImageError` at an image that cannot be read.
    """
    network = _embedder(model)
    predictor = Predictor(network, device=device, precision=precision)
    images = open_images(folder)
    found = list(predictor.stream(images.items, batch_size=batch_size, workers=workers))
    sources = tuple(str(Path(result.source).absolute()) for result in found)
    unread = next((s for s in sources if not Path(s).is_file()), None)
    if unread is not None:
        raise DataError(f"{unread}: is no image file; an index keeps files, which a search can show again")
    root = Path(folder).absolute() if isinstance(folder, str | Path) and Path(folder).is_dir() else None
    made = Index(
        vectors=np.stack([result.vector for result in found]),
        sources=sources,
        names=tuple("" if Path(s).parent == root else Path(s).parent.name for s in sources),
        model="" if isinstance(model, nn.Module) else str(Path(model).absolute() if Path(model).exists() else model),
        made_by=fingerprint(network),
    )
    if out is not None or root is not None:
        made.save(out if out is not None else root.with_name(root.name + SUFFIX))  # pyright: ignore[reportOptionalMemberAccess]
    return made


def search(
    index: Index | str | Path,
    source: Any,
    *,
    top: int = 10,
    model: nn.Module | str | Path | None = None,
    engine: str = "torch",
    device: str | torch.device | None = None,
) -> list[Matches]:
    """The ``top`` images of ``index`` nearest to each image of ``source``, which is whatever :func:`baimu.predict`
    takes.

    An image that is in the index itself is not among its own answers. ``model``: where the one that made the index has
    moved. ``engine``: as of :meth:`Index.nearest`.

    Raises :class:`~baimu.errors.DataError` for an index that is none, or was made by other parameters.
    """
    if top < 1:
        raise DataError(f"top={top}: ask for one image or more")
    held = index if isinstance(index, Index) else Index.load(index)
    network = embedder_of(held, model)
    asked: list[Embedding] = list(Predictor(network, device=device).stream(open_images(source).items, batch_size=8))
    if not asked:
        return []
    position, cosine = held.nearest(np.stack([found.vector for found in asked]), top + 1, engine=engine)
    return [_matches(held, found, p, c, top) for found, p, c in zip(asked, position, cosine, strict=True)]


def _matches(held: Index, asked: Embedding, position: np.ndarray, cosine: np.ndarray, top: int) -> Matches:
    own = str(Path(asked.source).absolute())
    found = [
        Match(held.sources[i], held.names[i], min(c, 1.0), partial(decode_image, held.sources[i]))
        for i, c in zip(position.tolist(), cosine.tolist(), strict=True)
        if i >= 0 and held.sources[i] != own  # faiss gives −1 where it found fewer
    ]
    return Matches(tuple(found[:top]), asked.size, source=asked.source, image=asked.image, read=asked.read)


def embedder_of(held: Index, model: nn.Module | str | Path | None = None) -> Any:
    """The model that made an index, or ``model`` in its place. Raises :class:`~baimu.errors.DataError` where its
    parameters are others than those that made it."""
    if model is None and not held.model:
        raise DataError("the index was made by a model object, which no file names; give it: search(…, model=…)")
    network = _embedder(held.model if model is None else model)
    if fingerprint(network) != held.made_by:
        whose = held.model if model is None else "the model given"
        raise DataError(
            f"the index was made by other parameters than those of {whose}; make it anew with baimu index, or give the "
            "model that made it"
        )
    return network


def _embedder(model: nn.Module | str | Path) -> Any:
    network = model if isinstance(model, nn.Module) else load_model(model)
    if getattr(network, "task", None) != "embedding":
        kind = getattr(network, "task", None) or type(network).__name__
        raise DataError(
            f"{model if not isinstance(model, nn.Module) else kind}: is a model for {kind}; give an embedder"
        )
    return network


def fingerprint(model: nn.Module) -> str:
    """A sum over the parameters and the preprocessing of ``model``: equal for those that give the same embeddings."""
    sha = hashlib.sha256(repr(sorted(model.preprocess.to_dict().items())).encode())  # pyright: ignore
    for name, value in sorted(model.state_dict().items()):
        if not name.startswith("head."):
            sha.update(name.encode() + value.detach().cpu().contiguous().float().numpy().tobytes())
    return sha.hexdigest()

"""SORT, DeepSORT and ByteTrack as their references tell them: objects in loops, full covariance matrices.

Written from the papers and the behaviour of the references, to compare with; it shares nothing with the library.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment


class Kalman:
    """The textbook's filter: x ← F x, P ← F P Fᵀ + Q; the gain is P Hᵀ (H P Hᵀ + R)⁻¹."""

    def __init__(self, mean, covariance, measured):
        self.x, self.P = np.asarray(mean, float), np.asarray(covariance, float)
        size = len(self.x)
        self.H = np.eye(measured, size)
        self.F = np.eye(size)
        for i in range(size - measured):
            self.F[i, measured + i] = 1

    def predict(self, noise):
        self.x = self.F @ self.x
        self.P = self.F @ self.P @ self.F.T + noise

    def correct(self, z, noise):
        S = self.H @ self.P @ self.H.T + noise
        K = np.linalg.solve(S, self.H @ self.P).T
        self.x = self.x + K @ (z - self.H @ self.x)
        self.P = self.P - K @ S @ K.T

    def distance(self, z, noise):
        S = self.H @ self.P @ self.H.T + noise
        d = z - self.H @ self.x
        return float(d @ np.linalg.inv(S) @ d)


def iou(a, b):
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = w * h
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / union if union > 0 else 0.0


def assign(cost, limit):
    """Cheapest pairs of at most ``limit``: what is dearer costs a little more than the limit, all alike."""
    cost = np.asarray(cost, float)
    if cost.size == 0:
        return []
    held = np.where(cost > limit, limit + 1e-5, cost)
    return [(i, j) for i, j in zip(*linear_sum_assignment(held), strict=True) if cost[i, j] <= limit]


class SlowSort:
    R = np.diag([1, 1, 10, 10.0])
    Q = np.diag([1, 1, 1, 1, 0.01, 0.01, 0.0001])

    def __init__(self, max_age=1, min_hits=3, iou_threshold=0.3):
        self.max_age, self.min_hits, self.threshold = max_age, min_hits, iou_threshold
        self.tracks, self.frame, self.count = [], 0, 0

    @staticmethod
    def z(box):
        w, h = box[2] - box[0], box[3] - box[1]
        return np.array([box[0] + w / 2, box[1] + h / 2, w * h, w / h])

    @staticmethod
    def box(x):
        w = np.sqrt(x[2] * x[3])
        h = x[2] / w
        return np.array([x[0] - w / 2, x[1] - h / 2, x[0] + w / 2, x[1] + h / 2])

    def update(self, boxes, scores):
        del scores
        self.frame += 1
        for track in self.tracks:
            if track["kf"].x[6] + track["kf"].x[2] <= 0:
                track["kf"].x[6] = 0
            track["kf"].predict(self.Q)
            if track["missed"] > 0:
                track["streak"] = 0
            track["missed"] += 1
        overlap = np.array([[iou(self.box(t["kf"].x), b) for b in boxes] for t in self.tracks])
        pairs = zip(*linear_sum_assignment(-overlap), strict=True) if overlap.size else []
        pairs = [(i, j) for i, j in pairs if overlap[i, j] >= self.threshold]
        for i, j in pairs:
            track = self.tracks[i]
            track["missed"], track["streak"] = 0, track["streak"] + 1
            track["kf"].correct(self.z(boxes[j]), self.R)
        used = {j for _, j in pairs}
        for j, box in enumerate(boxes):
            if j not in used:
                self.count += 1
                kf = Kalman([*self.z(box), 0, 0, 0], np.diag([10, 10, 10, 10, 1e4, 1e4, 1e4]), 4)
                self.tracks.append({"kf": kf, "missed": 0, "streak": 0, "id": self.count})
        told = [
            (t["id"], self.box(t["kf"].x))
            for t in self.tracks
            if t["missed"] == 0 and (t["streak"] >= self.min_hits or self.frame <= self.min_hits)
        ]
        self.tracks = [t for t in self.tracks if t["missed"] <= self.max_age]
        return told


def height_noise(h, place, ratio, speed=None, ratio_speed=None):
    std = [place * h, place * h, ratio, place * h]
    if speed is not None:
        std += [speed * h, speed * h, ratio_speed, speed * h]
    return np.diag(np.square(std))


class Xyah:
    """A track of DeepSORT's filter."""

    def __init__(self, number, box, score, frame):
        z = self.z(box)
        covariance = height_noise(z[3], 2 / 20, 1e-2, 10 / 160, 1e-5)
        self.kf = Kalman([*z, 0, 0, 0, 0], covariance, 4)
        self.id, self.score, self.start, self.last = number, score, frame, frame
        self.hits, self.missed, self.confirmed, self.lost, self.features = 1, 0, False, False, []

    @staticmethod
    def z(box):
        w, h = box[2] - box[0], box[3] - box[1]
        return np.array([box[0] + w / 2, box[1] + h / 2, w / h, h])

    @property
    def box(self):
        x, y, a, h = self.kf.x[:4]
        return np.array([x - a * h / 2, y - h / 2, x + a * h / 2, y + h / 2])

    def predict(self):
        self.kf.predict(height_noise(self.kf.x[3], 1 / 20, 1e-2, 1 / 160, 1e-5))

    def noise(self):
        return height_noise(self.kf.x[3], 1 / 20, 1e-1)

    def correct(self, box):
        self.kf.correct(self.z(box), self.noise())


class SlowByteTrack:
    def __init__(self, high=0.6, low=0.1, match=0.9, buffer=30, fuse=True):
        self.high, self.low, self.match, self.buffer, self.fuse = high, low, match, buffer, fuse
        self.tracks, self.frame, self.count = [], 0, 0

    def cost(self, tracks, boxes, scores, fuse):
        return [[1 - iou(t.box, b) * (s if fuse else 1) for b, s in zip(boxes, scores, strict=True)] for t in tracks]

    def update(self, boxes, scores):
        self.frame += 1
        high = [(b, s) for b, s in zip(boxes, scores, strict=True) if s > self.high]
        low = [(b, s) for b, s in zip(boxes, scores, strict=True) if self.low < s <= self.high]
        fresh = [t for t in self.tracks if not t.confirmed]
        pool = [t for t in self.tracks if t.confirmed]
        for t in pool:
            if t.lost:
                t.kf.x[7] = 0
            t.predict()
        seen = []

        def pair(tracks, found, limit, fuse):
            pairs = assign(self.cost(tracks, [b for b, _ in found], [s for _, s in found], fuse), limit)
            for i, j in pairs:
                tracks[i].correct(found[j][0])
                tracks[i].lost, tracks[i].confirmed = False, True
                tracks[i].last, tracks[i].score = self.frame, found[j][1]
                seen.append(tracks[i])
            free = [t for i, t in enumerate(tracks) if i not in {i for i, _ in pairs}]
            return free, [f for j, f in enumerate(found) if j not in {j for _, j in pairs}]

        free, high = pair(pool, high, self.match, self.fuse)
        pair([t for t in free if not t.lost], low, 0.5, False)
        gone, high = pair(fresh, high, 0.7, self.fuse)
        for t in pool:
            t.lost = t not in seen
        self.tracks = [t for t in self.tracks if t not in gone and self.frame - t.last <= self.buffer]
        for box, score in high:
            if score >= self.high + 0.1:
                self.count += 1
                track = Xyah(self.count, box, score, self.frame)
                track.confirmed = self.frame == 1
                self.tracks.append(track)
        doubled = []
        for p in self.tracks:
            for q in self.tracks:
                if not p.lost and q.lost and iou(p.box, q.box) > 0.85:
                    doubled.append(q if p.last - p.start > q.last - q.start else p)
        self.tracks = [t for t in self.tracks if t not in doubled]
        return [(t.id, t.box) for t in self.tracks if t.confirmed and not t.lost]


class SlowDeepSort:
    def __init__(self, max_distance=0.2, iou_threshold=0.3, max_age=30, n_init=3, budget=100):
        self.max_distance, self.threshold, self.max_age = max_distance, iou_threshold, max_age
        self.n_init, self.budget = n_init, budget
        self.tracks, self.count = [], 0

    def appearance(self, track, vector, box):
        if track.kf.distance(track.z(box), track.noise()) > 9.4877:
            return 1e5
        unit = vector / np.linalg.norm(vector)
        return min(1 - float(unit @ (f / np.linalg.norm(f))) for f in track.features[-self.budget :])

    def update(self, boxes, vectors):
        for t in self.tracks:
            t.predict()
            t.missed += 1
        free_tracks, free = list(self.tracks), list(range(len(boxes)))

        def pair(tracks, cost, limit):
            pairs = [(tracks[i], free[j]) for i, j in assign([[cost(t, j) for j in free] for t in tracks], limit)]
            for t, j in pairs:
                t.matched = j
                free_tracks.remove(t)
                free.remove(j)

        for age in range(1, self.max_age + 1):
            tracks = [t for t in free_tracks if t.confirmed and t.missed == age]
            pair(tracks, lambda t, j: self.appearance(t, vectors[j], boxes[j]), self.max_distance)
        tracks = [t for t in free_tracks if not t.confirmed or t.missed == 1]
        pair(tracks, lambda t, j: 1 - iou(t.box, boxes[j]), 1 - self.threshold)
        for t in list(self.tracks):
            if t in free_tracks:
                if not t.confirmed or t.missed > self.max_age:
                    self.tracks.remove(t)
                continue
            t.correct(boxes[t.matched])
            t.features.append(vectors[t.matched])
            t.hits, t.missed = t.hits + 1, 0
            t.confirmed = t.confirmed or t.hits >= self.n_init
        for j in free:
            self.count += 1
            track = Xyah(self.count, boxes[j], 1.0, 0)
            track.features.append(vectors[j])
            self.tracks.append(track)
        return [(t.id, t.box) for t in self.tracks if t.confirmed and t.missed <= 1]

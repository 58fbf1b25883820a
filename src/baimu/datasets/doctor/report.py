"""What the doctor found: counted by rule, printed, as JSON, or as a page with pictures."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from baimu.datasets.doctor.rules import RULES, SEVERITIES, Rule
from baimu.datasets.source import Problem

SHOWN = 3
"""So many findings of a rule are printed; ``to_dict`` has them all."""


@dataclass(frozen=True)
class Finding:
    """One record that breaks a rule. ``action`` is what reading and training do with it as it stands."""

    code: str
    file: str
    record: str  # "annotation 17", "line 3", "object 2 (RBC)", or "" for the whole file
    message: str
    action: str = ""
    split: str = ""
    image: str = ""  # file of the picture that it is in, if one is
    box: tuple[float, ...] | None = None  # xyxy pixels of that picture

    @property
    def rule(self) -> Rule:
        return RULES[self.code]

    @property
    def severity(self) -> str:
        return self.rule.severity

    @property
    def key(self) -> tuple[str, str, str]:
        """By which two findings are the same."""
        return self.code, self.file, self.record

    def __str__(self) -> str:
        record = f", {self.record}" if self.record else ""
        return f"{self.file}{record}: {self.message}"


def of_problem(problem: Problem, split: str = "", image: str = "") -> Finding:
    """What a reader has reported."""
    return Finding(
        problem.code, problem.file, problem.record, problem.problem, problem.action, split, image, problem.box
    )


@dataclass(frozen=True)
class Report:
    """What :func:`baimu.check_data` found; printed, a table. ``splits`` are summaries by name, of what can be used."""

    source: str
    kind: str
    format: str
    deep: bool
    splits: dict[str, Any]
    findings: tuple[Finding, ...]
    readable: bool  # false where a split, or the data set, cannot be opened at all

    @property
    def counts(self) -> dict[str, int]:
        """Findings of each code, errors first, the most frequent first."""
        found = Counter(finding.code for finding in self.findings)
        return dict(sorted(found.items(), key=lambda c: (SEVERITIES.index(RULES[c[0]].severity), -c[1], c[0])))

    @property
    def severities(self) -> dict[str, int]:
        """Findings of each severity."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}

    def status(self, fail_on: str = "error") -> int:
        """0 where nothing is as bad as ``fail_on`` (or worse), 1 where something is, 2 where data cannot be read."""
        worst = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
        return 2 if not self.readable else int(any(self.severities[severity] for severity in worst))

    def of(self, code: str) -> list[Finding]:
        """The findings of one rule."""
        return [finding for finding in self.findings if finding.code == code]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings, ready for JSON."""
        findings = [
            {"severity": f.severity, **asdict(f), "mend": f.rule.mend, "fix": f.rule.fix} for f in self.findings
        ]
        return {
            "source": self.source,
            "kind": self.kind,
            "format": self.format,
            "deep": self.deep,
            "readable": self.readable,
            "severities": self.severities,
            "counts": self.counts,
            "splits": {name: part.to_dict() for name, part in self.splits.items()},
            "findings": findings,
        }

    def save_html(self, path: str | Path) -> Path:
        """One self-contained page with small pictures of what is wrong."""
        from baimu.datasets.doctor.page import write_page

        return write_page(self, Path(path))

    def __str__(self) -> str:
        return "\n".join([self.head(), *self._rules()])

    def head(self) -> str:
        """What was looked at, and how many findings there are, in one line."""
        images = ", ".join(f"{name} {_count(part):,}" for name, part in self.splits.items())
        found = ", ".join(f"{n:,} {word}{'s' if n != 1 else ''}" for word, n in self.severities.items() if n)
        format = f"{self.format}, " if self.format else ""
        return f"{self.source} ({format}{images or 'nothing that can be read'}): {found or 'no problems found'}"

    def _rules(self) -> list[str]:
        lines = []
        for code, count in self.counts.items():
            rule, found = RULES[code], self.of(code)
            lines.append(f"{code} {rule.severity}: {rule.title} ({count:,})")
            lines += [f"    {finding}" for finding in found[:SHOWN]]
            if count > SHOWN:
                lines.append(f"    … and {count - SHOWN:,} more")
            lines.append(f"    → {rule.mend}" + (f" --fix: {rule.fix}." if rule.fix else ""))
        return lines


def merged(findings: list[Finding]) -> tuple[Finding, ...]:
    """Each once, worst first; what several splits report alike belongs to none of them."""
    first: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        known = first.setdefault(finding.key, finding)
        if known.split != finding.split:
            first[finding.key] = replace(known, split="")
    return tuple(sorted(first.values(), key=lambda f: (SEVERITIES.index(f.severity), f.code)))


def _count(part: Any) -> int:
    return next(getattr(part, name) for name in ("images", "texts", "lines", "sequences") if hasattr(part, name))

"""What a download shows: a line for each tenth, or a bar on a terminal, and nothing of it on stdout."""

from __future__ import annotations

from baimu.weights.progress import shown

MIB = 2**20


def test_a_line_for_each_tenth_where_there_is_no_terminal(capsys) -> None:
    with shown("a.pth") as report:
        for here in range(101):
            report(here * MIB, 100 * MIB)
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [f"a.pth: {tenth * 10}.0 of 100.0 MiB" for tenth in range(11)]
    assert printed.out == ""


def test_an_unknown_length_is_said_once(capsys) -> None:
    with shown("a.pth") as report:
        for here in range(5):
            report(here * MIB, None)
    assert capsys.readouterr().err == "a.pth: 0.0 MiB\n"


def test_a_bar_on_a_terminal(capsys, monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with shown("[a].pth") as report:
        report(0, None)
        report(50 * MIB, 100 * MIB)
    printed = capsys.readouterr()
    assert "[a].pth" in printed.err
    assert "50.0/100.0 MiB" in printed.err
    assert printed.out == ""

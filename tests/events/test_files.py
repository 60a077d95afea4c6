"""Events in files: whole lines, set aside when they are large."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from switch.events.event import Event
from switch.events.files import NAME, FileSink
from switch.events.sink import SinkUnavailable


def event(number: int) -> Event:
    """An event of ten bytes and its newline."""
    return Event(f"{number:019}", "1", "card.changed", b'{"n":%4d}' % number)


def lines(folder: Path) -> list[str]:
    """What stands in the files, the oldest first."""
    aside = sorted(folder.glob(f"{NAME}.*"), key=lambda path: -int(path.suffix[1:]))
    return [line for path in (*aside, folder / NAME) for line in path.read_text().splitlines()]


def test_events_are_lines(tmp_path: Path) -> None:
    """In order, over restarts, in a folder that is made."""
    folder = tmp_path / "var" / "events"
    for first in (1, 3):
        sink = FileSink(folder, bytes_max=1_000, kept=2)
        sink.publish([event(first), event(first + 1)])
        sink.close()
    assert [f'{{"n":{number:4}}}' for number in (1, 2, 3, 4)] == lines(folder)


def test_one_writes_at_a_time(tmp_path: Path) -> None:
    """Who publishes in turns, each closing at the end of his, writes over nothing; who has not
    closed keeps the other out.
    """
    one, other = (FileSink(tmp_path, bytes_max=25, kept=9) for _ in range(2))
    for sink, first in ((one, 1), (other, 3), (one, 5), (other, 7)):
        sink.publish([event(first), event(first + 1)])
        sink.close()
    one.publish([event(9)])
    with pytest.raises(SinkUnavailable):
        other.publish([event(10)])
    one.close()
    other.publish([event(10)])
    other.close()
    assert [f'{{"n":{number:4}}}' for number in range(1, 11)] == lines(tmp_path)


@pytest.mark.parametrize("torn", ["x", '{"n":   3', "{" * 100_000])
def test_half_a_line_is_cut_off(tmp_path: Path, torn: str) -> None:
    """What a killed process began to write is published again, so it goes."""
    whole = '{"n":   1}\n{"n":   2}\n'
    (tmp_path / NAME).write_text(whole + torn)
    with closing(FileSink(tmp_path, bytes_max=1_000, kept=2)) as sink:
        sink.publish([event(3)])
    assert f'{whole}{{"n":   3}}\n' == (tmp_path / NAME).read_text()


def test_files_are_set_aside(tmp_path: Path) -> None:
    """A file that is full is followed by another, and the oldest goes."""
    with closing(FileSink(tmp_path, bytes_max=22, kept=2)) as sink:
        for number in range(1, 10):
            sink.publish([event(number)])
    assert {NAME, f"{NAME}.1", f"{NAME}.2"} == {path.name for path in tmp_path.iterdir()}
    assert [f'{{"n":{number:4}}}' for number in (5, 6, 7, 8, 9)] == lines(tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The reason stands in one line; afterwards it is tried anew."""
    (tmp_path / "events").write_text("a file")
    sink = FileSink(tmp_path / "events", bytes_max=22, kept=2)
    with pytest.raises(SinkUnavailable, match=r"events\.jsonl: (File exists|Not a directory)"):
        sink.publish([event(1)])
    (tmp_path / "events").unlink()
    with closing(sink):
        sink.publish([event(1)])
    assert ['{"n":   1}'] == lines(tmp_path / "events")

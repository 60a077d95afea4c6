"""Files that are read from their end, and followed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.operate.tail import files
from switch.operate.tail.files import Followed, backwards, whole_until


@given(
    lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b""))),
    block=st.integers(1, 40),
    has_end=st.booleans(),
)
def test_the_last_lines_come_first(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], block: int, *, has_end: bool
) -> None:
    """Whatever is read at once, every line comes, blank ones apart, the last first."""
    path = tmp_path_factory.mktemp("log") / "log"
    data = b"\n".join(lines) + (b"\n" if has_end else b"")
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch, path.open("rb") as file:
        patch.setattr(files, "_BLOCK", block)
        assert [line for line in map(bytes.rstrip, reversed(lines)) if line] == list(
            backwards(file, len(data))
        )
        assert data.rfind(b"\n") + 1 == whole_until(file)


def test_lines_that_are_added(tmp_path: Path) -> None:
    """They come when they are whole."""
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    followed = Followed(path)
    with path.open("ab", buffering=0) as log:
        assert [b"one"] == followed.more()
        assert [] == followed.more()
        log.write(b"two\nthr")
        assert [b"two"] == followed.more()
        log.write(b"ee\n")
        assert [b"three"] == followed.more()
    followed.close()


def test_rotation(tmp_path: Path) -> None:
    """The old file is read to its end, a half line too, then the one that took its name."""
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    followed = Followed(path)
    assert [b"one"] == followed.more()
    with path.open("ab", buffering=0) as old:
        path.rename(tmp_path / "log.1")
        assert [] == followed.more()  # nothing has its name yet
        old.write(b"two\n")
        assert [b"two"] == followed.more()
        path.write_bytes(b"four\n")
        old.write(b"three\nhal")
    assert [[b"three"], [b"hal"], [b"four"]] == [followed.more() for _ in range(3)]
    followed.close()


def test_truncation(tmp_path: Path) -> None:
    """A file that was emptied in place (logrotate's copytruncate) is read from its beginning."""
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\nhal")
    followed = Followed(path)
    assert [b"one", b"two"] == followed.more()
    with path.open("r+b", buffering=0) as log:
        log.truncate(0)
        log.write(b"new\n")
    assert [[b"hal"], [b"new"], []] == [followed.more() for _ in range(3)]
    followed.close()


def test_many_rotations(tmp_path: Path) -> None:
    """No line is lost and none comes twice, however often the file changes its name."""
    path, told, seen = tmp_path / "log", [], []
    path.touch()
    followed = Followed(path)
    for number in range(20):
        with path.open("ab") as log:
            log.write(b"%d\n" % number)
        told.append(b"%d" % number)
        if number % 3 == 0:
            seen += followed.more()
        if number % 4 == 3:
            seen += followed.more() + followed.more()
            path.rename(tmp_path / f"log.{number}")
            path.touch()
    for _ in range(3):
        seen += followed.more()
    assert told == seen
    followed.close()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is refused by whoever asks."""
    with pytest.raises(FileNotFoundError):
        Followed(tmp_path / "none")

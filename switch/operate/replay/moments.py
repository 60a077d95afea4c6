"""How this second is said in a dialect: DE7, DE12 and DE13, a chip's date, how RRNs begin."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping

from specs.spec import Spec

__all__ = ["DATE", "RRN", "Moments", "numbers"]

#: How DE7, DE12 and DE13 say a moment, by how many digits they have; in UTC.
_FORMS: Mapping[tuple[int, int], str] = {
    (7, 10): "%m%d%H%M%S",
    (12, 6): "%H%M%S",
    (12, 12): "%y%m%d%H%M%S",
    (12, 14): "%Y%m%d%H%M%S",
}
_DATE_1987 = "%m%d"  # DE13; later versions have another date there, which is not ours to say

#: A chip's date (tag 9A), and the digit of the year, the day and the hour with which RRNs begin
#: by custom.
DATE, RRN = "9A", "rrn"


class Moments:
    """The moments of one dialect."""

    def __init__(self, spec: Spec, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._texts: tuple[int, dict[int | str, str]] = (0, {})
        self._forms = {
            number: form
            for (number, digits), form in _FORMS.items()
            if spec.fields[number].length == digits
        } | ({13: _DATE_1987} if spec.version == "0" else {})

    @property
    def numbers(self) -> tuple[int, ...]:
        """The DEs that say a moment."""
        return tuple(self._forms)

    def now(self) -> dict[int | str, str]:
        """This second, by DE number, `DATE` and `RRN`."""
        now = int(self._clock())
        if self._texts[0] != now:
            moment = time.gmtime(now)
            texts: dict[int | str, str] = {
                number: time.strftime(form, moment) for number, form in self._forms.items()
            }
            texts[DATE] = time.strftime("%y%m%d", moment)
            texts[RRN] = time.strftime("%Y%j%H", moment)[3:]
            self._texts = (now, texts)
        return self._texts[1]


def numbers(first: int, count: int) -> Iterator[int]:
    """From the first on, below so many and without zero, round and round."""
    return (number for number in (n % count for n in itertools.count(first)) if number)

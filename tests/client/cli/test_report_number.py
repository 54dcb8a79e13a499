"""The report of a kept scan in the terminal names the person by their record number too."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pypdfium2

from client.parts import Kept
from tests.client.cli.conftest import Bench
from tests.client.cli.test_kept import Command, scan
from tests.client.cli.test_kept import store as store  # noqa: PLC0414 (a fixture)


def test_a_report_has_the_record_number_where_one_is_known(
    command: Command, bench: Bench, tmp_path: Path, store: Callable[[], Kept]
) -> None:
    command("people", "--add", "Ada", "--record-number", "R-0815")
    command("people", "--add", "Ben")
    for flags, there in ((("--person", "Ada"), True), (("--person", "Ben"), False), ((), False)):
        scan(command, bench, *flags)
        file = tmp_path / "a.pdf"
        assert command("report", str(file), "--force", *flags).status == 0
        with closing(pypdfium2.PdfDocument(file)) as document:
            assert ("R-0815" in document[0].get_textpage().get_text_range()) is there

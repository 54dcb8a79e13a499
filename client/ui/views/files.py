"""The name of a file to be written, as it was chosen in a dialog."""

from __future__ import annotations

import re
from pathlib import Path

_ENDING = re.compile(r"\*((?:\.\w+)+)")


def path_as_chosen(typed: str, kind: str, kinds: str) -> Path:
    """typed: the path of the dialog. kind: the one that was chosen below it, one of `kinds` ("Report (*.pdf);;Data (*.json)").

    A name without a known ending gets the chosen kind's; one with the first kind's, which was suggested, gets it too. Another known
    ending was typed by the person and holds.
    """
    endings = _ENDING.findall(kinds)
    wanted = next(iter(_ENDING.findall(kind)), endings[0])
    path = Path(typed)
    name = path.name
    fitting = [one for one in endings if name.lower().endswith(one) and len(name) > len(one)]
    ending = max(fitting, key=len, default="")  # of ".json" and ".fhir.json" the whole one
    if ending == wanted:
        return path
    if not ending:
        return path.with_name(name + wanted)
    return path.with_name(name[: -len(ending)] + wanted) if ending == endings[0] else path

"""The words that come with Serai, as files: a first line `Subject: ...`, a blank line, the text."""

from importlib.resources import files

from serai.contexts.notifications.contract import KINDS, Kind
from serai.contexts.notifications.model.templates import Words

_FOLDER = files("serai.contexts.notifications").joinpath("templates")
_HEAD = "Subject: "


def load_defaults() -> dict[Kind, Words]:
    """Reads all of them; a missing or malformed file is a mistake of ours and stops the start."""
    return {kind: _load(kind) for kind in KINDS}


def _load(kind: Kind) -> Words:
    head, blank, text = _FOLDER.joinpath(f"{kind}.txt").read_text("utf-8").split("\n", 2)
    if not head.startswith(_HEAD) or blank:
        raise ValueError(f"{kind}.txt does not begin with a subject and a blank line")
    html = _FOLDER.joinpath(f"{kind}.html").read_text("utf-8")
    return Words(head.removeprefix(_HEAD), text, html)

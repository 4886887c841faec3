"""Named SQL: reads `queries.sql` files and writes a home's schema names into their statements.

A package has one file, or where it outgrew that, a folder `queries` of several. A file holds
statements, each headed by `-- name: verb_noun` and one sentence of what it does. Schemas stand in
braces: `{orders}.lines` becomes `orders.lines` in the pooled home.
"""

import re
from functools import cache
from importlib.resources import files

_HEAD = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\s*$", re.MULTILINE)
_SCHEMA = re.compile(r"\{([a-z_]+)\}")


class Statement:
    """One named statement; its text depends on the home it runs in."""

    __slots__ = ("_texts", "name", "sentence", "template")

    def __init__(self, name: str, sentence: str, template: str) -> None:
        self.name = name
        self.sentence = sentence
        self.template = template
        self._texts: dict[str, str] = {}

    def text(self, prefix: str) -> str:
        """The SQL for the home with this schema prefix, rendered once."""
        text = self._texts.get(prefix)
        if text is None:
            text = self._texts[prefix] = f"/* {self.name} */ " + render(self.template, prefix)
        return text


def render(template: str, prefix: str) -> str:
    """Puts a home's schema names into SQL; the only place where SQL is built from strings."""
    return _SCHEMA.sub(lambda match: prefix + match.group(1), template)


class Queries:
    """The statements of one package, reached as attributes: `SQL.reserve_stock`."""

    def __init__(self, package: str, statements: dict[str, Statement]) -> None:
        self.package = package
        self.statements = statements

    def __getattr__(self, name: str) -> Statement:
        try:
            return self.statements[name]
        except KeyError:
            raise AttributeError(f"{self.package} has no statement {name!r}") from None


@cache
def load(package: str) -> Queries:
    """The named statements beside the code of `package`; FileNotFoundError where there are none."""
    beside = files(package)
    folder = beside.joinpath("queries")
    if not folder.is_dir():
        return Queries(package, parse(beside.joinpath("queries.sql").read_text("utf-8")))
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return Queries(package, parse("\n".join(file.read_text("utf-8") for file in found)))


def parse(source: str) -> dict[str, Statement]:
    """Cuts SQL into statements by name; a name used twice is an error of ours."""
    pieces = _HEAD.split(source)
    statements: dict[str, Statement] = {}
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        lines = body.strip().splitlines()
        comment = [line for line in lines if line.startswith("--")]
        sql = "\n".join(line for line in lines if not line.startswith("--"))
        if name in statements:
            raise ValueError(f"statement {name!r} is named twice")
        statements[name] = Statement(
            name, " ".join(c.lstrip("- ") for c in comment), sql.strip().rstrip(";")
        )
    return statements

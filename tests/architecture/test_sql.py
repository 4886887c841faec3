"""The SQL wall: a context's SQL names its own tables only, and SQL stands in SQL files only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pglast import ast as pg
from pglast import parse_sql
from pglast.parser import ParseError
from pglast.visitors import Skip, Visitor

ROOT = Path(__file__).parents[2]
SERAI = ROOT / "src" / "serai"

# A placeholder `{orders}` is read as the schema `home_orders`: a schema that is written out
# instead of being put in braces is then told apart by its missing mark.
MARK = "home_"
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
COMMENT = re.compile(r"--[^\n]*")
KERNEL_NAME = re.compile(r"\{kernel\}\.\w+(\s*\()?")
# PostgreSQL's own catalogue, found without a schema; the kernel alone may read it.
CATALOGUE = ("pg_", "information_schema")
HEAD = re.compile(r"^-- name: (.*)$", re.MULTILINE)
STATEMENT_NAME = re.compile(r"[a-z]+(_[a-z0-9]+)+")
MIGRATION_NAME = re.compile(r"(\d{4})_(pre|post)_[a-z0-9_]+\.sql")
SQL_SHOUTED = re.compile(
    r"\bSELECT\b.*\bFROM\b|\bINSERT\s+INTO\b|\bUPDATE\b.*\bSET\b|\bDELETE\s+FROM\b", re.DOTALL
)
SQL_FROM_THE_START = re.compile(
    r"\s*(select\s.+\sfrom\s|insert\s+into\s|update\s+\S+\s+set\s|delete\s+from\s"
    r"|with\s+(recursive\s+)?\w+\s+as\s*\()",
    re.DOTALL,
)

# The only Python files that may hold SQL: they act before a schema exists for a file to name.
MAY_HOLD_SQL = (
    "kernel/db.py",  # begins and commits: settings of the session, not of a table
    "kernel/migrate.py",  # keeps the list of migrations, which no migration can have made
    "kernel/embedded",  # makes the roles and the database of a fresh server
)


class Names(Visitor):
    """Collects what a statement names: relations, CTEs, and functions and types with a schema."""

    def __init__(self) -> None:
        self.relations: set[tuple[str | None, str | None]] = set()
        self.ctes: set[str | None] = set()
        self.others: set[tuple[str, str]] = set()

    def visit(self, _: object, node: pg.Node) -> type[Skip] | None:
        match node:
            case pg.LockingClause():
                return Skip  # FOR UPDATE OF names an alias, never a table
            case pg.RangeVar():
                self.relations.add((node.schemaname, node.relname))
            case pg.CommonTableExpr():
                self.ctes.add(node.ctename)
            case pg.DropStmt():
                self.relations |= {pair for name in node.objects or () if (pair := pair_of(name))}
            case pg.FuncCall() | pg.CreateFunctionStmt() | pg.CreateTrigStmt():
                self.others |= {pair} if (pair := pair_of(node.funcname)) else set()
            case pg.TypeName():
                self.others |= {pair} if (pair := pair_of(node.names)) else set()
            case pg.ObjectWithArgs():
                self.others |= {pair} if (pair := pair_of(node.objname)) else set()
        return None


def pair_of(name: object) -> tuple[str, str] | None:
    """Schema and name of a dotted name in a syntax tree; none when it has no schema."""
    match name:
        case (*_, pg.String(sval=str(schema)), pg.String(sval=str(last))):
            return schema, last
    return None


def owner_of(path: Path) -> str | None:
    """The schema that a SQL file may name, told by the folder it lies in."""
    match path.relative_to(SERAI).parts:
        case ("contexts", context, *_):
            return context
        case ("kernel", *_):
            return "kernel"
        case ("cli", "bench", *_):
            return "bench"
    return None


def wall_faults(sql: str, owner: str, *, migration: bool) -> list[str]:
    """Why this SQL may not stand in a file of `owner`; empty when it may."""
    bare = COMMENT.sub("", sql)
    calls_kernel = migration and owner != "kernel"
    allowed = {owner, "kernel"} if calls_kernel else {owner}
    faults = [
        f"names the schema of {name}" for name in PLACEHOLDER.findall(bare) if name not in allowed
    ]
    if calls_kernel:
        faults += [
            f"names {match[0]}, which is no call"
            for match in KERNEL_NAME.finditer(bare)
            if not match[1]
        ]
    try:
        parsed = parse_sql(PLACEHOLDER.sub(rf"{MARK}\1", bare))
    except ParseError as error:
        return [*faults, f"does not parse: {error}"]
    names = Names()
    names(parsed)
    for schema, table in sorted(names.relations, key=str):
        if owner == "kernel" and str(schema or table).startswith(CATALOGUE):
            continue
        if schema is None and table not in names.ctes:
            faults.append(f"names the table {table} without a schema")
        elif schema is not None and not schema.startswith(MARK):
            faults.append(f"writes out the schema of {schema}.{table}")
        elif schema == f"{MARK}kernel" and owner != "kernel":
            faults.append(f"names the kernel's table {table}")
    faults += [
        f"writes out the schema of {schema}.{name}"
        for schema, name in sorted(names.others)
        if not schema.startswith(MARK) and schema != "pg_catalog"
    ]
    return faults


def statements(source: str) -> Iterator[tuple[str, str, str]]:
    """Name, sentence and SQL of each statement of a queries.sql."""
    pieces = HEAD.split(source)
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        lines = body.strip().splitlines()
        count = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
        sentence = " ".join(line.removeprefix("--").strip() for line in lines[:count])
        yield name.strip(), sentence, "\n".join(lines[count:])


def form_faults(source: str) -> list[str]:
    """Where a queries.sql leaves its form: a name, one sentence, one statement."""
    faults = []
    if COMMENT.sub("", HEAD.split(source)[0]).strip():
        faults.append("has SQL before its first name")
    seen = set()
    for name, sentence, sql in statements(source):
        if not STATEMENT_NAME.fullmatch(name):
            faults.append(f"{name}: is not named verb_noun")
        if name in seen:
            faults.append(f"{name}: is named twice")
        seen.add(name)
        if not re.fullmatch(r"[A-Z].*\.", sentence):
            faults.append(f"{name}: has no sentence of what it does")
        try:
            if len(parse_sql(PLACEHOLDER.sub(r"\1", sql))) != 1:
                faults.append(f"{name}: is not exactly one statement")
        except ParseError as error:
            faults.append(f"{name}: does not parse: {error}")
    return faults


def sql_literals(source: str) -> list[int]:
    """The lines of a Python source on which a string, no docstring, holds SQL."""
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = "" if id(node) in docstrings else node.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values
            )
        else:
            continue
        if SQL_SHOUTED.search(text) or SQL_FROM_THE_START.match(text):
            found.add(node.lineno)
    return sorted(found)


def sql_files() -> list[Path]:
    return sorted(SERAI.rglob("*.sql"))


def test_a_contexts_sql_names_its_own_tables_only() -> None:
    faults = []
    for path in sql_files():
        where = path.relative_to(ROOT)
        owner = owner_of(path)
        if owner is None:
            faults.append(f"{where}: only contexts, the kernel and the benchmark own tables")
        elif path.parent.name == "migrations":
            source = path.read_text("utf-8")
            faults += [f"{where}: {f}" for f in wall_faults(source, owner, migration=True)]
        else:
            faults += [
                f"{where}: {name}: {fault}"
                for name, _, sql in statements(path.read_text("utf-8"))
                for fault in wall_faults(sql, owner, migration=False)
            ]
    assert faults == []


def test_every_statement_has_a_name_and_a_sentence() -> None:
    assert [
        f"{path.relative_to(ROOT)}: {fault}"
        for path in sql_files()
        if path.parent.name != "migrations"
        for fault in form_faults(path.read_text("utf-8"))
    ] == []


def test_a_package_has_one_file_of_statements_or_one_folder_of_them() -> None:
    files = {path for path in sql_files() if path.parent.name != "migrations"}
    odd = [
        path.relative_to(ROOT)
        for path in files
        if path.name != "queries.sql" and path.parent.name != "queries"
    ]
    both = [
        p for p in files if p.parent.name == "queries" and p.parent.with_suffix(".sql") in files
    ]
    assert (odd, both) == ([], [])
    assert {path.parent.name for path in files} > {"queries", "orders"}


def test_every_named_statement_is_used_beside_its_file() -> None:
    unused = []
    for path in sql_files():
        if path.parent.name == "migrations":
            continue
        beside = path.parent.parent if path.parent.name == "queries" else path.parent
        code = "\n".join(p.read_text("utf-8") for p in beside.rglob("*.py"))
        unused += [
            f"{path.relative_to(ROOT)}: {name}"
            for name, _, _ in statements(path.read_text("utf-8"))
            if not re.search(rf"\b{name}\b", code)
        ]
    assert unused == []


def test_migrations_are_numbered_without_a_gap_and_say_when_they_run() -> None:
    faults = []
    for folder in sorted({p.parent for p in sql_files() if p.parent.name == "migrations"}):
        names = sorted(path.name for path in folder.glob("*.sql"))
        matches = [MIGRATION_NAME.fullmatch(name) for name in names]
        faults += [str(folder / name) for name, m in zip(names, matches, strict=True) if m is None]
        numbers = [int(match[1]) for match in matches if match]
        if numbers != list(range(1, len(numbers) + 1)):
            faults.append(f"{folder}: {numbers}")
    assert faults == []


def test_sql_stands_in_sql_files_only() -> None:
    assert [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(SERAI.rglob("*.py"))
        if not any(path.is_relative_to(SERAI / allowed) for allowed in MAY_HOLD_SQL)
        for line in sql_literals(path.read_text("utf-8"))
    ] == []


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("SELECT * FROM {orders}.lines", "names the schema of orders"),
        ("SELECT * FROM orders.lines", "writes out the schema of orders.lines"),
        ("SELECT * FROM lines", "names the table lines without a schema"),
        ("INSERT INTO {kernel}.outbox VALUES ($1)", "names the schema of kernel"),
        ("SELECT orders.total($1)", "writes out the schema of orders.total"),
        ("SELECT $1::orders.state", "writes out the schema of orders.state"),
        ("SELECT nextval('{orders}.numbers')", "names the schema of orders"),
        ("DROP TABLE {orders}.lines", "names the schema of orders"),
        ("SELECT 1 FROM pg_catalog.pg_class", "writes out the schema of pg_catalog.pg_class"),
        ("SELEKT 1", 'does not parse: syntax error at or near "SELEKT", at index 0'),
    ],
)
def test_the_wall_sees_a_planted_fault(sql: str, fault: str) -> None:
    assert fault in wall_faults(sql, "inventory", migration=False)


@pytest.mark.parametrize(
    "sql",
    [
        "-- {orders} is only spoken of\nSELECT 1 FROM {inventory}.levels l FOR UPDATE OF l",
        "WITH wanted AS (SELECT $1::text AS sku) SELECT * FROM wanted JOIN {inventory}.levels"
        " USING (sku)",
        "UPDATE {inventory}.levels l SET reserved = l.reserved + d.quantity"
        " FROM unnest($1::text[], $2::int[]) AS d (sku, quantity) WHERE l.sku = d.sku",
    ],
)
def test_the_wall_lets_a_contexts_own_sql_pass(sql: str) -> None:
    assert wall_faults(sql, "inventory", migration=False) == []


def test_a_migration_may_call_the_kernels_functions_but_not_name_its_tables() -> None:
    policy = "CREATE POLICY wall ON {orders}.lines USING (tenant_id = ANY ({kernel}.tenants()))"
    table = "INSERT INTO {kernel}.outbox SELECT * FROM {orders}.lines"
    hidden = "DO $$ BEGIN PERFORM 1 FROM {kernel}.outbox; END $$"
    assert wall_faults(policy, "orders", migration=True) == []
    assert wall_faults(table, "orders", migration=True) == [
        "names {kernel}.outbox, which is no call",
        "names the kernel's table outbox",
    ]
    assert wall_faults(hidden, "orders", migration=True) == [
        "names {kernel}.outbox, which is no call"
    ]
    assert wall_faults(table, "kernel", migration=True) == ["names the schema of orders"]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("SELECT 1;\n-- name: find_one\n-- Finds.\nSELECT 1;", "has SQL before its first name"),
        ("-- name: find_one\nSELECT 1;", "find_one: has no sentence of what it does"),
        ("-- name: find_one\n-- finds one\nSELECT 1;", "find_one: has no sentence of what it does"),
        ("-- name: one\n-- Finds.\nSELECT 1;", "one: is not named verb_noun"),
        (
            "-- name: find_one\n-- Finds.\nSELECT 1; SELECT 2;",
            "find_one: is not exactly one statement",
        ),
        (
            "-- name: find_one\n-- Finds.\nSELECT 1;\n-- name: find_one\n-- Finds.\nSELECT 1;",
            "find_one: is named twice",
        ),
    ],
)
def test_the_form_check_sees_a_planted_fault(source: str, fault: str) -> None:
    assert form_faults(source) == [fault]


def test_a_well_formed_file_passes_the_form_check() -> None:
    source = "-- Locks are taken in SKU order.\n\n-- name: find_level\n-- Finds one.\nSELECT $1;\n"
    assert form_faults(source) == []
    assert list(statements(source)) == [("find_level", "Finds one.", "SELECT $1;")]


@pytest.mark.parametrize(
    "source",
    [
        'x = "SELECT sku FROM levels"',
        'x = "insert into levels values (1)"',
        'x = f"UPDATE {table} SET sku = 1"',
        'async def f(c):\n    """Docs."""\n    await c.execute("DELETE FROM levels")',
        'x = "with a as (select 1) table a"',
    ],
)
def test_the_literal_check_sees_planted_sql(source: str) -> None:
    assert sql_literals(source) != []


def test_the_literal_check_reads_prose_as_prose() -> None:
    source = (
        '"""SELECT a FROM b, in a docstring."""\n'
        'x = "Select a tenant from the list, then update it."\n'
    )
    assert sql_literals(source) == []

"""A migration of `pre` only adds: the code that still runs goes on reading and writing after it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pglast import ast as pg
from pglast import parse_sql
from pglast.enums import AlterTableType, ConstrType, ObjectType

from serai.kernel.migrate import Migration, find_migrations
from serai.kernel.queries import render
from serai.roles.schemas import PACKAGES

# What takes nothing from code that does not know of it.
_HARMLESS_DROPS = {ObjectType.OBJECT_INDEX, ObjectType.OBJECT_POLICY, ObjectType.OBJECT_TRIGGER}
_TAKES = {
    AlterTableType.AT_DropColumn: "drops a column",
    AlterTableType.AT_AlterColumnType: "changes a column's type",
    AlterTableType.AT_SetNotNull: "forbids null in a column that old code may leave out",
}


def faults_of(text: str) -> list[str]:
    """Why old code could fail after this migration; empty where it only adds."""
    return list(_faults([raw.stmt for raw in parse_sql(render(text, "home_"))]))


def _faults(statements: list[Any]) -> Iterator[str]:
    own = {
        _name(node.relation) for node in statements if isinstance(node, pg.CreateStmt)
    }  # what was made just now, nobody uses yet
    node: Any
    for node in statements:
        match node:
            case pg.DropStmt() if node.removeType not in _HARMLESS_DROPS:
                yield f"drops {_name_of(node.removeType)}"
            case pg.RenameStmt():
                yield "renames"
            case pg.TruncateStmt() | pg.DeleteStmt() | pg.UpdateStmt():
                yield "changes rows: a backfill is a job"
            case pg.IndexStmt() if node.unique and _name(node.relation) not in own:
                yield "asks for uniqueness that old code does not know of"
            case pg.AlterTableStmt() if _name(node.relation) not in own:
                yield from _faults_of_table(node, statements)


def _faults_of_table(node: Any, statements: list[Any]) -> Iterator[str]:
    for command in node.cmds:
        if command.subtype in _TAKES:
            yield _TAKES[command.subtype]
        elif command.subtype == AlterTableType.AT_ColumnDefault and command.def_ is None:
            yield "takes a default away"
        elif command.subtype == AlterTableType.AT_AddColumn:
            kinds = {constraint.contype for constraint in command.def_.constraints or ()}
            if ConstrType.CONSTR_NOTNULL in kinds and ConstrType.CONSTR_DEFAULT not in kinds:
                yield "adds a column that old code would have to fill"
        elif (
            command.subtype == AlterTableType.AT_AddConstraint
            # One that was dropped before comes back: whether it is wider, test_upgrade.py asks.
            and command.def_.conname not in set(_dropped(statements))
        ):
            yield "adds a constraint that old code does not know of"


def _dropped(statements: list[Any]) -> Iterator[str]:
    for node in statements:
        if isinstance(node, pg.AlterTableStmt):
            for command in node.cmds or ():
                if command.subtype == AlterTableType.AT_DropConstraint:
                    yield command.name


def _name_of(kind: Any) -> str:
    return ObjectType(kind).name


def _name(relation: Any) -> tuple[str | None, str | None]:
    return relation.schemaname, relation.relname


MIGRATIONS: list[Migration] = find_migrations(PACKAGES)


def test_every_migration_that_runs_before_the_new_code_only_adds() -> None:
    found = {
        f"{m.context}/{m.name}": faults for m in MIGRATIONS if not m.is_post
        and (faults := faults_of(m.text))
    }  # fmt: skip
    assert len(MIGRATIONS) > 30
    assert found == {}


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        ("DROP TABLE {orders}.lines", "drops OBJECT_TABLE"),
        ("DROP FUNCTION {kernel}.tenants()", "drops OBJECT_FUNCTION"),
        ("DROP SCHEMA {orders} CASCADE", "drops OBJECT_SCHEMA"),
        ("ALTER TABLE {orders}.lines DROP COLUMN sku", "drops a column"),
        ("ALTER TABLE {orders}.lines RENAME COLUMN sku TO code", "renames"),
        ("ALTER TABLE {orders}.lines RENAME TO positions", "renames"),
        ("ALTER TABLE {orders}.lines ALTER sku TYPE uuid", "changes a column's type"),
        ("ALTER TABLE {orders}.lines ALTER sku SET NOT NULL", "forbids null"),
        ("ALTER TABLE {orders}.lines ALTER sku DROP DEFAULT", "takes a default away"),
        ("ALTER TABLE {orders}.lines ADD COLUMN a text NOT NULL", "have to fill"),
        ("ALTER TABLE {orders}.lines ADD CONSTRAINT a CHECK (b > 0)", "adds a constraint"),
        ("CREATE UNIQUE INDEX a ON {orders}.lines (sku)", "uniqueness"),
        ("UPDATE {orders}.lines SET sku = 'a'", "a backfill is a job"),
        ("DELETE FROM {orders}.lines", "a backfill is a job"),
        ("TRUNCATE {orders}.lines", "a backfill is a job"),
    ],
)
def test_what_takes_something_away_is_found(planted: str, fault: str) -> None:
    (told,) = faults_of(planted)
    assert fault in told


def test_what_only_adds_is_let_through() -> None:
    assert not faults_of(
        "ALTER TABLE {orders}.lines ADD COLUMN IF NOT EXISTS a int NOT NULL DEFAULT 0, ADD b int;"
        "CREATE TABLE {orders}.notes (id int PRIMARY KEY, a text NOT NULL);"
        "CREATE UNIQUE INDEX notes_a ON {orders}.notes (a);"
        "ALTER TABLE {orders}.lines DROP CONSTRAINT IF EXISTS c;"
        "ALTER TABLE {orders}.lines ADD CONSTRAINT c CHECK (b > 0)"
    )


def test_migrations_are_beside_the_code_that_they_belong_to() -> None:
    root = Path(__file__).parents[2] / "src" / "serai"
    assert len(MIGRATIONS) == len(list(root.rglob("migrations/*.sql")))

"""Runs the statements of deploy/athena on files, in DuckDB, and prints what each query gives as JSON.

    athena.py STATEMENTS RECORDS TRAIL NOW

sqlglot reads them as Athena's dialect. A table is made of its own definition: its columns and their types are
those of the CREATE TABLE, and the partitions come of the names of the files, by its own
storage.location.template. NOW stands for the time, so that a query can be compared with what was asked at
that time. TRAIL may be empty: then there are no calls.
"""

import glob
import json
import pathlib
import re
import sys

import duckdb
import sqlglot
from sqlglot import exp

statements, records, trail, now = sys.argv[1:]
db = duckdb.connect()
db.execute("SET TimeZone = 'UTC'")


def parse(name):
    text = pathlib.Path(statements, name + ".sql").read_text()
    [statement] = [one for one in sqlglot.parse(text, read="athena") if one]
    return statement


def in_duckdb(statement):
    """The statement, for DuckDB, at the time that was named."""
    at = exp.cast(exp.Literal.string(now), "timestamptz")
    statement = statement.transform(
        lambda node: at.copy() if isinstance(node, exp.CurrentTimestamp) else node
    )
    return statement.sql(dialect="duckdb")


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def template(definition):
    """What a file's name has to be, with a group for each partition."""
    properties = {
        p.name: p.args["value"].name
        for p in definition.find_all(exp.Property)
        if type(p) is exp.Property
    }
    location = properties["storage.location.template"]
    fixed = definition.find(exp.LocationProperty).this.name
    assert location.startswith(fixed), (location, fixed)
    return re.sub(r"\$\{(\w+)\}", r"(?P<\1>[^/]+(?:/[0-9]{2}/[0-9]{2})?)", location[len(fixed) :])


def table(definition, root, below, lines):
    """Makes the table of the files below `root`."""
    name = definition.this.this.name
    kinds = {}
    for column in definition.this.expressions:
        kinds[column.name] = column.args["kind"].sql(dialect="duckdb")
    partitions = definition.find(exp.PartitionedByProperty).this.expressions
    partitions = [partition.name for partition in partitions]
    columns = [column for column in kinds if column not in partitions]
    none = ", ".join(f'NULL::{kinds[c]} AS "{c}"' for c in columns)
    rows = f"SELECT {none}, '' AS filename LIMIT 0"
    files = glob.glob(f"{root}/**/*", recursive=True) if root else []
    files = sorted(file for file in files if pathlib.Path(file).is_file() and ".json" in file)
    if files and lines:
        kinds = ", ".join(f"{quoted(c)}: {quoted(kinds[c])}" for c in columns)
        rows = (
            f"SELECT * FROM read_json([{', '.join(map(quoted, files))}], columns = {{{kinds}}},"
            " format = 'newline_delimited', ignore_errors = true, filename = true,"
            " hive_partitioning = false)"
        )
    elif files:
        kind = "STRUCT(" + ", ".join(f'"{c}" {kinds[c]}' for c in columns) + ")[]"
        rows = (
            'SELECT unnest("Records", max_depth := 2), filename FROM read_json('
            f"[{', '.join(map(quoted, files))}], columns = {{'Records': {quoted(kind)}}},"
            " filename = true, hive_partitioning = false, maximum_object_size = 100000000)"
        )
    pattern = template(definition)
    names = {}
    for file in files:
        match = re.match(pattern, file[len(f"{root}/{below}") :])
        if match:
            names[file] = match.groupdict()
    db.execute(f"CREATE TABLE files_{name} (filename varchar, {', '.join(f'{p} varchar' for p in partitions)})")
    for file, found in names.items():
        db.execute(
            f"INSERT INTO files_{name} VALUES (?, {', '.join('?' * len(partitions))})",
            [file, *(found[p] for p in partitions)],
        )
    db.execute(
        f"CREATE VIEW {name} AS SELECT one.* EXCLUDE (filename), filename AS \"$path\","
        f" {', '.join(partitions)} FROM ({rows}) AS one JOIN files_{name} USING (filename)"
    )


table(parse("records"), records, "records/v1/", True)
table(parse("cloudtrail"), trail, "AWSLogs/", False)
for view in ["checked", "tokens"]:
    db.execute(in_duckdb(parse(view)))


def plain(value):
    return value.isoformat() if hasattr(value, "isoformat") else value


answers = {}
made = {"records", "cloudtrail", "checked", "tokens"}
for path in sorted(pathlib.Path(statements).glob("*.sql")):
    if path.stem not in made:
        done = db.execute(in_duckdb(parse(path.stem)))
        columns = [column[0] for column in done.description]
        answers[path.stem] = [
            dict(zip(columns, map(plain, row))) for row in done.fetchall()
        ]
print(json.dumps(answers))

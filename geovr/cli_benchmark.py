"""`geovr benchmark` and `geovr dataset`: what is known, get it, check it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geovr import cli_json

if TYPE_CHECKING:
    from geovr.evaluation.benchmarks.table import Source

NameArgument = Annotated[str, typer.Argument(help="As `list` shows it.")]
DirectoryArgument = Annotated[Path, typer.Argument(help="Directory that holds it.")]


def _group(what: str, text: str) -> typer.Typer:
    group = typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None)

    @group.command("list")
    def list_(as_json: cli_json.JsonOption = False) -> None:
        cli_json.start(as_json)
        _list(what, as_json)

    @group.command()
    def fetch(
        name: NameArgument,
        output: Annotated[
            Path | None, typer.Option(help="Directory to fill; data/ and the name if not given.")
        ] = None,
        accept_licence: Annotated[
            bool, typer.Option("--accept-licence", help="Take the licence and terms shown.")
        ] = False,
        as_json: cli_json.JsonOption = False,
    ) -> None:
        cli_json.start(as_json)
        _fetch(what, name, output or Path("data") / f"{what}s" / name, accept_licence, as_json)

    @group.command()
    def verify(
        directory: DirectoryArgument,
        name: Annotated[
            str | None, typer.Option(help="What it should be, where no fetch recorded it.")
        ] = None,
        quick: Annotated[bool, typer.Option("--quick", help="Compare sizes, not digests.")] = False,
        record: Annotated[
            bool,
            typer.Option("--record", help="Record what is here now as right (not yet recorded)."),
        ] = False,
        media: Annotated[
            Path | None, typer.Option(help="Where its media lie, if elsewhere.")
        ] = None,
        as_json: cli_json.JsonOption = False,
    ) -> None:
        cli_json.start(as_json)
        _verify(what, directory, name, quick, record, media, as_json)

    list_.__doc__ = f"List the known {what}s: licence, revision, number of questions."
    fetch.__doc__ = f"Get a {what} from its hub, once its licence is accepted."
    verify.__doc__ = "Check count, ids, media and digests, and name what is missing."
    for command in group.registered_commands:
        assert command.callback is not None
        command.help = command.callback.__doc__
    return group


def _table(what: str) -> dict[str, Source]:
    from geovr.evaluation.benchmarks.table import BENCHMARKS, DATASETS

    return BENCHMARKS if what == "benchmark" else DATASETS


def _list(what: str, as_json: bool) -> None:
    from geovr.evaluation.protocols import protocols_of

    rows: list[dict[str, Any]] = [
        {
            "name": source.name,
            "title": source.title,
            "repo": source.repo,
            "revision": source.revision,
            "questions": source.count,
            "media": source.media_type,
            "licence": source.licence,
            "terms": source.terms,
            "protocols": protocols_of(source.name),
        }
        for source in _table(what).values()
    ]
    if as_json:
        cli_json.tell({"status": "done", "exit_code": 0, f"{what}s": rows})
        return
    wide = max(len(row["name"]) for row in rows)
    for row in rows:
        count = f"{row['questions']:,}" if row["questions"] else "?"
        revision = row["revision"][:12] if row["revision"] else "first use"
        typer.echo(
            f"{row['name']:{wide}}  {count:>6}  {row['media']:6}  {revision:12}  {row['licence']}"
        )


def _fetch(what: str, name: str, output: Path, accept: bool, as_json: bool) -> None:
    from geovr.evaluation.benchmarks.fetch import fetch, terms
    from geovr.evaluation.benchmarks.table import source_named

    source = source_named(name, _table(what))
    typer.echo(terms(source), err=True)
    with cli_json.quiet_stdout(as_json):
        lock = fetch(source, output, _acceptance(accept))
    told = {"name": name, "directory": str(output), "revision": lock.revision, "count": lock.count}
    if as_json:
        cli_json.tell({"status": "done", "exit_code": 0, **told, "files": len(lock.files)})
    else:
        typer.echo(
            f"{output}: {source.title} at {lock.revision}, {lock.count} questions in"
            f" {len(lock.files)} files"
        )


def _acceptance(given: bool) -> Callable[[], bool]:
    """Yes by the option, or by a person at a terminal."""

    def ask() -> bool:
        if given or not sys.stdin.isatty():
            return given
        return typer.confirm("Take this licence and these terms?", default=False, err=True)

    return ask


def _verify(
    what: str,
    directory: Path,
    name: str | None,
    quick: bool,
    keep: bool,
    media: Path | None,
    as_json: bool,
) -> None:
    from dataclasses import asdict

    from geovr.errors import UserError
    from geovr.evaluation.benchmarks.lock import LOCK, read_lock, write_lock
    from geovr.evaluation.benchmarks.table import source_named
    from geovr.evaluation.benchmarks.verify import record, verify

    table = _table(what)
    lock = read_lock(directory)
    if name is None:
        if lock is None:
            raise UserError(
                f"{directory}: no {LOCK} says what it is; add --name, one of {', '.join(table)}"
            )
        name = lock.name
    source = source_named(name, table)
    with cli_json.quiet_stdout(as_json):
        if keep and lock is None:
            write_lock(directory, record(source, directory, None))
        verdict = verify(source, directory, quick=quick, media=media)
    if verdict.problems:
        raise UserError(
            f"{directory}: not whole as {source.title}:\n  " + "\n  ".join(verdict.problems)
        )
    if as_json:
        cli_json.tell({"status": "done", "exit_code": 0, **asdict(verdict)})
        return
    typer.echo(
        f"{directory}: {source.title}, {verdict.questions} questions about {verdict.media} files,"
        f" {verdict.hashed} digests compared, revision {verdict.revision or 'not recorded'}"
    )
    for note in verdict.notes:
        typer.echo(f"note: {note}")


benchmark = _group("benchmark", "Published benchmarks: list, fetch and verify.")
dataset = _group("dataset", "Published training sets: list, fetch and verify.")

"""`authz plan`, `apply`, `diff`, `export`, `schema`: policy as code."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from authz.admin.client_metadata import SECRET_METHODS
from authz.admin.code import plans
from authz.admin.code.kind import Site, Surroundings
from authz.admin.code.plans import Effect, Unapproved
from authz.cli.output import cell
from authz.cli.plan_words import told_changes, told_effect
from authz.cli.run import DONE, REFUSED, UNAPPROVED, Result, Run, command, group
from authz.cli.values import text_of, write_text
from authz.errors import Conflict, Invalid, NotFound
from authz.policy.code import approval as approvals
from authz.policy.code.approval import Approval
from authz.policy.code.reading import KEYS, Written, read
from authz.policy.code.schema import schema as schema_of

plan_app = group("What a directory of policy would change, and for whom.")
apply_app = group("Make policy what a directory says, whole or not at all.")
diff_app = group("Where policy differs from a directory: drift.")
export_app = group("Write policy as a directory of YAML files.")
schema_app = group("The JSON schema of those files, for editors.")

_Directory = Annotated[
    Path, typer.Argument(help="A directory of *.yaml files, or one such file.", metavar="DIR")
]
_Approval = Annotated[
    Path | None,
    typer.Option(
        "--approval", help="Who approved which plan, in YAML.", metavar="FILE", show_default=False
    ),
]
_Names = Annotated[
    int | None,
    typer.Option(
        "--names",
        help="How many to name of those who gain or lose: 5, and all with --json.",
        min=0,
        show_default=False,
    ),
]
_FEW = 5
_OURS = re.compile(rf"({'|'.join(KEYS)})(-\d+)?\.yaml")


@command(plan_app, "plan")
def plan(
    run: Run, directory: _Directory, approval: _Approval = None, names: _Names = None
) -> Result:
    """Print what `apply` would do, and who gains and loses which scope by it; exit code 4 if that needs an approval."""
    written, given = _written(directory), _approval(run, approval)
    effect = _rehearsed(run, written)
    code, note = DONE, ""
    try:
        plans.check_approval(effect, given)
    except Unapproved as error:
        code, note = UNAPPROVED, f"\nRefused by `authz apply`: {error}"
    return _result(run, effect, names, told_effect(effect, _few(names)) + note, code)


@command(apply_app, "apply")
def apply(
    run: Run,
    directory: _Directory,
    approval: _Approval = None,
    plan: Annotated[
        str | None,
        typer.Option(
            "--plan",
            help="The digest of the plan that is meant.",
            metavar="DIGEST",
            show_default=False,
        ),
    ] = None,
    cut_now: Annotated[
        bool,
        typer.Option("--cut-now", help="End the access tokens at once where somebody loses."),
    ] = False,
    names: _Names = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> Result:
    """Make policy what the directory says, in one transaction."""
    written, given = _written(directory), _approval(run, approval)
    if plan is None and not yes and not run.as_json:
        effect = _rehearsed(run, written)
        typer.echo(told_effect(effect, _few(names)))
        if not effect.changes:
            return Result(None, "")
        try:
            plans.check_approval(effect, given)
        except Unapproved as error:
            return Result(None, f"Not applied: {error}", UNAPPROVED)
        typer.confirm("Apply this?", abort=True)
        plan = effect.digest
    try:
        with run.write() as (tx, operator, tenant_id):
            site = Site(tx, operator, tenant_id, _around(run), written, run.watch)
            base = run.settings.server.issuer
            effect = plans.apply(site, base=base, expected=plan, approval=given, cut_now=cut_now)
    except Unapproved as error:
        return Result({"error": str(error)}, f"Not applied: {error}", UNAPPROVED)
    cut = effect.narrowed if cut_now else ()
    return _result(run, effect, names, _applied(effect, _few(names), cut))


@command(diff_app, "diff")
def diff(run: Run, directory: _Directory) -> Result:
    """Print where policy differs from the directory; exit code 1 if it does anywhere. Counts nobody."""
    written = _written(directory)
    with run.read() as (tx, tenant_id):
        run.watch.at("comparing policy with the directory")
        changes = plans.drift(Site(tx, run.operator, tenant_id, _around(run), written))
    value = {"changes": [{**it.as_json(), "verb": it.verb} for it in changes]}
    if not changes:
        return Result(value, "No drift: policy is what the directory says.")
    end = "`authz apply` makes it so; `authz export` makes the directory so."
    return Result(value, f"{told_changes(changes)}\n{end}", REFUSED)


@command(export_app, "export")
def export(
    run: Run,
    directory: Annotated[
        Path, typer.Argument(help="Made if it is not there.", metavar="DIR", file_okay=False)
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace the files of an earlier export.")
    ] = False,
) -> Result:
    """Write policy as it is. Secrets are not in it: references to them are."""
    with run.read() as (tx, tenant_id):
        run.watch.at("reading policy")
        files = plans.export(Site(tx, run.operator, tenant_id, _around(run)))
    there = sorted(directory.glob("*.yaml"))
    others = [it.name for it in there if not force or not _OURS.fullmatch(it.name)]
    if others:
        raise Conflict(
            f"{directory} has {', '.join(others[:5])}: what they say would be said twice; "
            "name another directory"
            + ("" if force else ", or replace an earlier export with --force")
        )
    directory.mkdir(parents=True, exist_ok=True)
    for file in there:
        file.unlink()
    for name, text in files.items():
        write_text(directory / name, text)
    text = f"Wrote {len(files)} files to {directory}.\nNext: authz plan {directory}"
    return Result({"directory": str(directory), "files": sorted(files)}, text)


@command(schema_app, "schema", tenant=False)
def schema(
    run: Run,  # noqa: ARG001
    what: Annotated[str, typer.Argument(help="policy: the files of a directory.", metavar="WHAT")],
) -> Result:
    """Print a JSON schema; an editor that has it completes and checks while one writes."""
    if what != "policy":
        raise typer.BadParameter("there is one schema: policy")
    value = schema_of()
    return Result(value, json.dumps(value, indent=2))


def _written(directory: Path) -> Written:
    """Every *.yaml of the directory. Raises Invalid with file, line and column of each thing that is wrong."""
    if directory.is_dir():
        stray = sorted(it.name for it in directory.glob("*.yml"))
        if stray:
            raise Invalid(f"{directory / stray[0]} is not read; call it *.yaml")
        files = sorted(directory.glob("*.yaml"))
    elif directory.exists():
        files = [directory]
    else:
        raise NotFound(f"there is no directory {directory}; `authz export {directory}` makes one")
    return read({str(file): text_of(file) for file in files})


def _approval(run: Run, file: Path | None) -> Approval | None:
    return None if file is None else approvals.read(text_of(file), run.services.clock())


def _rehearsed(run: Run, written: Written) -> Effect:
    with run.rehearse() as (tx, operator, tenant_id):
        site = Site(tx, operator, tenant_id, _around(run), written, run.watch)
        rehearsed = plans.rehearse(site, base=run.settings.server.issuer)
    run.watch.at(f"counting {len(rehearsed.people)} people")
    effect = rehearsed.effect(operator.now)
    run.watch.clear()
    return effect


def _around(run: Run) -> Surroundings:
    return Surroundings(
        connectors=run.connectors,
        issuer=run.issuer,
        private_schemes=run.settings.clients.private_redirect_schemes,
        development=run.settings.server.development,
    )


def _result(run: Run, effect: Effect, names: int | None, text: str, code: int = DONE) -> Result:
    """Everybody by name is a lot to make, and only programs ask for it."""
    return Result(plans.as_value(effect, names) if run.as_json else None, text, code)


def _few(names: int | None) -> int:
    return _FEW if names is None else names


def _applied(effect: Effect, names: int, cut: Sequence[str]) -> str:
    if not effect.changes:
        return "Nothing to do: policy is what the directory says."
    lines = [told_effect(effect, names), "Applied; the next token and refresh obey it."]
    lines += [f"Ended every access token for {cell(server)}." for server in cut]
    lines += [
        f"The secret of {it.name} is made and shown by: authz clients rotate-secret {it.name}"
        for it in effect.changes
        if it.kind == "clients"
        and it.before is None
        and it.after is not None
        and it.after["name"] is not None
        and it.after["auth_method"] in SECRET_METHODS
    ]
    return "\n".join(lines)

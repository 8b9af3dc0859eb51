"""The command line: ``python -m conformance``."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from conformance import lifecycle, official, plan, signals
from conformance.auth import Credentials
from conformance.case import Failed
from conformance.cases import ALL, GROUPS
from conformance.official import Suite
from conformance.outcome import Report, transcript
from conformance.report import html, junit, markdown, table
from conformance.run import Connection, run_cases, run_prefix
from conformance.target import Shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.case import Case
    from conformance.exchange import Exchange
    from conformance.lifecycle import Daemon
    from conformance.outcome import OfficialResult, Outcome

_EXIT_FAILED = 1
_EXIT_USAGE = 2
_REPOSITORY = "conformance"
_OPEN = lifecycle.MODES[0]
_OFFICIAL_FOLDER = Path("conformance-report")
_SPARSE = {"CARGOHOLD_PUSH__ALLOW_MISSING": "true"}
"""The daemon's own switch for the sparse cases of the official suite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """As they stand on the command line."""

    url: str | None
    user: str | None
    password: str
    access: str
    insecure: bool
    repository: str
    quick: bool
    read_only: bool
    manifest: str | None
    tag: tuple[str, ...]
    blob: str | None
    group: tuple[str, ...]
    case: tuple[str, ...]
    trace: bool
    report: Path | None
    official: Path | None
    official_image: str | None

    @property
    def choice(self) -> plan.Choice:
        return plan.Choice(self.quick, self.read_only, self.group, self.case)

    @property
    def credentials(self) -> Credentials | None:
        return None if self.user is None else Credentials(self.user, self.password)

    @property
    def suite(self) -> Suite | None:
        if self.official is None and self.official_image is None:
            return None
        return Suite(self.official and self.official.absolute(), self.official_image)

    def again(self) -> str:
        """How to run against the same registry again."""
        parts = ["python -m conformance"]
        if self.url:
            parts.append(f"--url {self.url}")
        if self.user:
            parts.append(f"--user {self.user} --password ...")
        if self.access != _OPEN:
            parts.append(f"--access {self.access}")
        if self.insecure:
            parts.append("--insecure")
        if self.read_only:
            parts.append(f"--read-only --manifest {self.manifest}")
        if self.repository != _REPOSITORY:
            parts.append(f"--repository {self.repository}")
        return " ".join(parts)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--url", help="The registry, as http://host:port. Without it the installed daemon is booted.")
@click.option("--user", help="Log in, by Basic or for a token.")
@click.option("--password", default="", envvar="CONFORMANCE_PASSWORD", show_envvar=True)
@click.option("--access", default=_OPEN, type=click.Choice(lifecycle.MODES), help="The booted daemon's access.mode.")
@click.option("--insecure", is_flag=True, help="Accept any TLS certificate.")
@click.option("--repository", default=_REPOSITORY, help="Repositories are made below this name; --read-only reads it.")
@click.option("--quick", is_flag=True, help="Only the groups pull and push.")
@click.option("--read-only", is_flag=True, help="Only pull, discovery of what --manifest names, and refusals.")
@click.option("--manifest", metavar="DIGEST", help="For --read-only: a manifest that is there.")
@click.option("--tag", multiple=True, help="For --read-only: a tag of that manifest; may be given several times.")
@click.option("--blob", metavar="DIGEST", help="For --read-only: a blob that is there. [default: one of the manifest]")
@click.option("--group", multiple=True, type=click.Choice(GROUPS), help="Only these groups.")
@click.option("--case", multiple=True, type=click.Choice([case.id for case in ALL]), metavar="ID", help="Only these.")
@click.option("--list", "list_cases", is_flag=True, help="Print the cases that would run.")
@click.option("--trace", is_flag=True, help="Print every request and answer.")
@click.option(
    "--report", metavar="DIR", type=click.Path(path_type=Path), help="Write junit.xml, report.html, RESULTS.md."
)
@click.option(
    "--official", metavar="PATH", type=click.Path(path_type=Path, exists=True), help="A built official suite."
)
@click.option("--official-image", metavar="REF", help="The official suite as a container image, run by podman.")
def main(*, list_cases: bool, **values: Any) -> None:
    """Test a registry against the OCI distribution-spec."""
    options = Options(**values)
    if options.access != _OPEN and (options.url or options.user):
        _refuse("--access is for the daemon that the kit boots, where it makes a user of its own")
    if options.read_only and not (options.url and options.manifest):
        _refuse("--read-only needs --url, and --manifest with the digest of a manifest that is there")
    cases = options.choice.select(has_daemon=options.url is None)
    if not cases:
        _refuse("no case fits these options together; see --list (the group read-only needs --read-only)")
    if list_cases:
        for case in cases:
            click.echo(f"{case.group:16} {case.id:40} {case.level.value:6} {case.endpoint:8} {case.title}")
        return
    try:
        with signals.raising():
            report = _run(options, cases)
    except signals.Stopped as stopped:
        click.echo(f"\nconformance: stopped by {stopped}", err=True)
        sys.exit(stopped.status)
    except (lifecycle.DaemonFailed, official.OfficialFailed) as error:
        click.echo(f"conformance: {error}", err=True)
        sys.exit(_EXIT_FAILED)
    _show(report, options)
    sys.exit(_EXIT_FAILED if report.has_failed else 0)


def _run(options: Options, cases: list[Case]) -> Report:
    with _registry(options, {}) as (url, daemon):
        options = _logged_in(options, daemon)
        name = "the installed daemon" if daemon else url
        click.echo(f"Testing {name}{f' ({url})' if daemon else ''}, {len(cases)} cases")
        outcomes = tuple(_run_cases(options, cases, url, daemon))
        faults = tuple(daemon.faults()) if daemon else ()
    return Report(name, _switches(options) if daemon else (), outcomes, tuple(_run_official(options)), faults)


@contextmanager
def _registry(options: Options, settings: dict[str, str]) -> Iterator[tuple[str, Daemon | None]]:
    """The registry that the user named, or the daemon, booted with these settings."""
    if options.url is not None:
        yield options.url, None
    else:
        with lifecycle.running({**settings, **_access(options)}) as daemon:
            yield daemon.url, daemon


def _access(options: Options) -> dict[str, str]:
    return {} if options.access == _OPEN else {"CARGOHOLD_ACCESS__MODE": options.access}


def _logged_in(options: Options, daemon: Daemon | None) -> Options:
    """With the credentials of a user that may do everything, where the daemon was booted to ask for some."""
    if daemon is None or options.access == _OPEN:
        return options
    user = daemon.make_user()
    return replace(options, user=user.user, password=user.password)


def _run_cases(options: Options, cases: list[Case], url: str, daemon: Daemon | None) -> Iterator[Outcome]:
    observe = _trace if options.trace else lambda _: None
    connection = Connection(url, options.credentials, options.insecure, observe)
    shared = Shared(f"{options.repository}/{run_prefix()}", daemon)
    if options.read_only and options.manifest:
        client = connection.client()
        try:
            shared.sample = plan.read_sample(client, options.repository, options.manifest, options.tag, options.blob)
        except Failed as failure:
            _refuse(f"the content to read is not there: {failure}")
        finally:
            client.close()
    group = ""
    for outcome in run_cases(cases, connection, shared):
        click.echo(table.progress(outcome, group), nl=False)
        group = outcome.case.group
        yield outcome
    click.echo("\n")


def _run_official(options: Options) -> Iterator[OfficialResult]:
    if options.suite is None:
        return
    for profile in official.PROFILES:
        click.echo(f"Running the official suite, profile {profile}")
        with _registry(options, _SPARSE if profile == "dev" else {}) as (url, daemon):
            folder = options.report or _OFFICIAL_FOLDER
            credentials = _logged_in(options, daemon).credentials
            result = official.run_profile(options.suite, profile, url, credentials, folder, insecure=options.insecure)
        if daemon and profile == "dev":
            result = official.with_switches(result, "push.allow_missing = true")
        click.echo(f"Its reports are in {result.folder}\n")
        yield result


def _show(report: Report, options: Options) -> None:
    for line in (*table.failures(report, options.again()), *table.skips(report), "", *table.table(report)):
        click.echo(line)
    if options.report is None:
        if report.has_failed:
            click.echo("\nAll exchanges: run again with --report DIR and open DIR/report.html")
        return
    options.report.mkdir(parents=True, exist_ok=True)
    reports = {"junit.xml": junit.render, "report.html": html.render, "RESULTS.md": markdown.render}
    if report.official:
        reports["OFFICIAL.md"] = markdown.render_official
    for name, render in reports.items():
        (options.report / name).write_text(render(report), "utf-8")
    click.echo(f"\nReports: {options.report}/{', '.join(reports)}")


def _trace(exchange: Exchange) -> None:
    click.echo(f"\n{transcript(exchange)}\n{'-' * 80}")


def _switches(options: Options) -> tuple[str, ...]:
    """Settings of the daemon that this environment or the options change."""
    settings = {**os.environ, **_access(options)}
    return tuple(f"{name}={value}" for name, value in sorted(settings.items()) if name.startswith("CARGOHOLD_"))


def _refuse(message: str) -> NoReturn:
    click.echo(f"conformance: {message}", err=True)
    sys.exit(_EXIT_USAGE)


if __name__ == "__main__":
    main(prog_name="python -m conformance")

"""The runner of the official suite, with a program in its place that writes a report as the suite does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from conformance.__main__ import main
from conformance.auth import Credentials
from conformance.official import OfficialFailed, Suite, run_profile

if TYPE_CHECKING:
    from pathlib import Path

_SUITE = """\
#!/bin/sh
env | grep ^OCI_ | sort
echo '<testsuites disabled="2"><testsuite>{tests}</testsuite></testsuites>' > "$OCI_RESULTS_DIR/junit.xml"
"""
_PODMAN = """\
#!/bin/sh
echo "$@"
for argument; do case $argument in *:/results) folder=${argument%:/results};; esac; done
echo '<testsuites><testcase status="passed"/></testsuites>' > "$folder/junit.xml"
"""


def _program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def _suite(folder: Path, *statuses: str) -> Path:
    tests = "".join(f'<testcase status="{status}"/>' for status in statuses)
    return _program(folder / "suite", _SUITE.format(tests=tests))


def test_both_profiles_are_run_and_summed_up(tmp_path: Path) -> None:
    suite = _suite(tmp_path, "passed", "passed", "skipped", "skipped", "skipped")
    arguments = ["--case", "version-check", "--official", str(suite), "--report", str(tmp_path / "report")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    for profile in ("stable", "dev"):
        assert f"official, {profile}" in result.output
        environment = (tmp_path / f"report/official-{profile}/output.txt").read_text()
        assert f"OCI_VERSION={profile}\n" in environment
        assert "OCI_TLS=disabled\n" in environment
        assert ("OCI_DATA_SPARSE=true\n" in environment) == (profile == "dev")
    results = (tmp_path / "report/OFFICIAL.md").read_text()
    assert "* stable: 2 passed, 0 failed, 0 error, 1 skipped (2 disabled by the suite itself)" in results
    assert "switches: OCI_DATA_SPARSE=true, push.allow_missing = true" in results
    assert "stable" not in (tmp_path / "report/RESULTS.md").read_text()


@pytest.mark.parametrize("status", ["failure", "error", "something new"])
def test_its_failure_is_ours(tmp_path: Path, status: str) -> None:
    suite = _suite(tmp_path, "passed", status)
    arguments = ["--case", "version-check", "--official", str(suite), "--report", str(tmp_path / "report")]
    assert CliRunner().invoke(main, arguments).exit_code == 1


def test_a_suite_without_a_report_is_an_error(tmp_path: Path) -> None:
    suite = Suite(_program(tmp_path / "suite", "#!/bin/sh\necho broken\n"))
    with pytest.raises(OfficialFailed, match=r"wrote no junit\.xml"):
        run_profile(suite, "dev", "http://127.0.0.1:1", None, tmp_path, insecure=False)
    assert (tmp_path / "official-dev/output.txt").read_text() == "broken\n"


def test_the_image_is_run_by_podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "podman", _PODMAN)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    result = run_profile(
        Suite(image="example/suite"),
        "stable",
        "https://registry.example.org",
        Credentials("user", "secret"),
        tmp_path,
        insecure=False,
    )
    assert result.counts["passed"] == 1
    command = (tmp_path / "official-stable/output.txt").read_text()
    assert command.startswith("run --rm --network=host --volume ")
    assert command.endswith("example/suite\n")
    assert "secret" not in command


def test_without_podman_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OfficialFailed, match="needs podman"):
        run_profile(Suite(image="x"), "dev", "http://127.0.0.1:1", None, tmp_path, insecure=False)

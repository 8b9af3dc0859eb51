"""README's examples: each is loaded as a configuration, and judges a token such as the system issues."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from registry import config
from registry.policies import issuers_of
from registry.service.issuers import Issuers, TokenRefused
from registry.store.hops import Hops
from tests.test_readme import blocks
from tests.tools.jwts import key_set, make, signer

if TYPE_CHECKING:
    from pathlib import Path

    from registry.service.issuers import IssuerPolicy

KEY = signer("good-RSA")
AUDIENCE = "https://registry.example.org"

CLAIMS: dict[str, dict[str, Any]] = {
    "github": {
        "iss": "https://token.actions.githubusercontent.com",
        "aud": AUDIENCE,
        "sub": "repo:acme/app:ref:refs/heads/main",
        "jti": "6f4762ed-0758-4ccb-808d-ee3af5d723a8",
        "repository": "acme/app",
        "repository_id": "74",
        "repository_owner": "acme",
        "repository_owner_id": "1234567",
        "ref": "refs/heads/main",
        "ref_protected": "true",
        "event_name": "push",
        "job_workflow_ref": "acme/app/.github/workflows/build.yml@refs/heads/main",
    },
    "gitlab": {
        "iss": "https://gitlab.com",
        "aud": AUDIENCE,
        "sub": "project_path:acme/tools/app:ref_type:branch:ref:main",
        "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b",
        "namespace_id": "1234567",
        "namespace_path": "acme/tools",
        "project_id": "46573356",
        "project_path": "acme/tools/app",
        "groups_direct": ["acme", "acme/tools"],
        "ref": "main",
        "ref_type": "branch",
        "ref_protected": "true",
        "runner_id": 12270835,
    },
    "kubernetes": {
        "iss": "https://kubernetes.default.svc.cluster.local",
        "aud": [AUDIENCE],
        "sub": "system:serviceaccount:ci:builder-1",
        "kubernetes.io": {
            "namespace": "ci",
            "pod": {"name": "build", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"},
            "serviceaccount": {"name": "builder-1", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
        },
    },
}
STRANGERS: list[tuple[str, dict[str, Any]]] = [
    ("github", {"repository": "somebody/app", "repository_owner_id": "7654321"}),
    ("github", {"repository_owner_id": "7654321"}),
    ("github", {"ref": "refs/pull/1/merge"}),
    ("github", {"ref": "refs/heads/main/x"}),
    ("gitlab", {"project_path": "acme-2/app"}),
    ("gitlab", {"ref_protected": "false"}),
    ("gitlab", {"ref_protected": True}),
    ("kubernetes", {"kubernetes.io": {"namespace": "ci", "serviceaccount": {"name": "default"}}}),
    ("kubernetes", {"kubernetes.io": {"namespace": "dev", "serviceaccount": {"name": "builder-1"}}}),
]


@pytest.fixture
def policies(tmp_path: Path) -> dict[str, IssuerPolicy]:
    """README's three, in one configuration; only their keys are ours."""
    file = tmp_path / "config.toml"
    file.write_text("\n".join(blocks("Tokens of CI systems", "toml")))
    policies = issuers_of(config.load(file, {})[0].access)
    (tmp_path / "keys.json").write_bytes(key_set(KEY))
    return {policy.name: replace(policy, keys=str(tmp_path / "keys.json")) for policy in policies}


def token(system: str, **changes: Any) -> str:
    now = int(time.time())
    return make(KEY, "RS256", {**CLAIMS[system], "iat": now, "nbf": now, "exp": now + 3600, **changes})


def test_there_is_one_of_each(policies: dict[str, IssuerPolicy]) -> None:
    assert list(policies) == list(CLAIMS)


@pytest.mark.parametrize("system", CLAIMS)
async def test_a_token_of_the_system_is_good(policies: dict[str, IssuerPolicy], system: str) -> None:
    identity = await Issuers(policies.values(), Hops()).verify(token(system))
    assert identity.name == f"{system}:{CLAIMS[system]['sub']}"
    assert identity.groups == {"deployers"}


@pytest.mark.parametrize(("system", "changes"), STRANGERS)
async def test_a_token_of_somebody_else_there_is_not(
    policies: dict[str, IssuerPolicy], system: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(TokenRefused, match=f"no rule of {system} matches"):
        await Issuers(policies.values(), Hops()).verify(token(system, **changes))

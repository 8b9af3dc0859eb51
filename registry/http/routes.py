"""Every end point."""

from __future__ import annotations

from typing import Final

from registry.http import (
    accounts,
    audit,
    blobs,
    listings,
    manifests,
    metrics,
    operations,
    probes,
    repositories,
    rules,
    tokens,
    uploads,
)
from registry.http.route import Method, Route
from registry.service.access import Action

_PULL, _PUSH, _DELETE = Action.PULL, Action.PUSH, Action.DELETE

ROUTES: Final = (
    Route("live", "/live", {"GET": Method(probes.live, Action.PROBE)}),
    Route("healthz", "/healthz", {"GET": Method(probes.healthz, Action.PROBE)}),
    Route("ready", "/ready", {"GET": Method(probes.ready, Action.PROBE)}),
    Route("metrics", "/metrics", {"GET": Method(metrics.get, Action.MONITOR)}),
    Route("token", "/token", {"GET": Method(tokens.get, Action.LOG_IN), "POST": Method(tokens.post, Action.LOG_IN)}),
    Route("version", "/v2/", {"GET": Method(listings.version_check, Action.DISCOVER)}),
    Route("catalog", "/v2/_catalog", {"GET": Method(listings.catalog, Action.CATALOG)}),
    Route("extensions", "/v2/_oci/ext/discover", {"GET": Method(listings.extensions, Action.DISCOVER)}),
    Route("tags", "/v2/<path:name>/tags/list", {"GET": Method(listings.tags, _PULL)}),
    Route("referrers", "/v2/<path:name>/referrers/<digest>", {"GET": Method(listings.referrers, _PULL)}),
    Route(
        "manifest",
        "/v2/<path:name>/manifests/<reference>",
        {
            "GET": Method(manifests.get, _PULL),
            "HEAD": Method(manifests.head, _PULL),
            "PUT": Method(manifests.put, _PUSH),
            "DELETE": Method(manifests.delete, _DELETE),
        },
    ),
    Route(
        "blob",
        "/v2/<path:name>/blobs/<digest>",
        {
            "GET": Method(blobs.get, _PULL),
            "HEAD": Method(blobs.head, _PULL),
            "DELETE": Method(blobs.delete, _DELETE),
        },
    ),
    Route("uploads", "/v2/<path:name>/blobs/uploads/", {"POST": Method(uploads.begin, _PUSH)}),
    Route(
        "upload",
        "/v2/<path:name>/blobs/uploads/<upload_id>",
        {
            "GET": Method(uploads.status, _PUSH),
            "PATCH": Method(uploads.append, _PUSH),
            "PUT": Method(uploads.finish, _PUSH),
            "DELETE": Method(uploads.cancel, _PUSH),
        },
    ),
)

LANE_ROUTES: Final = {
    route.name: route for route in ROUTES if route.name in {"version", "tags", "manifest", "blob", "uploads", "upload"}
}
"""What the express lane answers, by name."""

MONITOR_ROUTES: Final = (
    Route("metrics", "/metrics", {"GET": Method(metrics.get, Action.PROBE)}),
    Route("ready", "/ready", {"GET": Method(probes.ready, Action.PROBE)}),
)
"""What a listener answers that is there for this alone: whoever reaches it may ask."""

_OPERATE = Action.OPERATE

ADMIN_ROUTES: Final = (
    *ROUTES,
    Route(
        "admin-gc",
        "/admin/gc",
        {
            "GET": Method(operations.garbage_status, _OPERATE),
            "POST": Method(operations.collect_garbage, _OPERATE),
        },
    ),
    Route("admin-explain", "/admin/gc/explain/<digest>", {"GET": Method(operations.explain, _OPERATE)}),
    Route("admin-fsck", "/admin/fsck", {"POST": Method(operations.check, _OPERATE)}),
    Route(
        "admin-mode",
        "/admin/mode",
        {
            "GET": Method(operations.mode, _OPERATE),
            "PUT": Method(operations.make_read_only, _OPERATE),
            "DELETE": Method(operations.make_read_write, _OPERATE),
        },
    ),
    Route(
        "admin-database",
        "/admin/database",
        {"GET": Method(operations.database_size, _OPERATE), "POST": Method(operations.vacuum, _OPERATE)},
    ),
    Route(
        "admin-repositories",
        "/admin/repositories",
        {"GET": Method(repositories.usage, _OPERATE), "DELETE": Method(repositories.delete, _OPERATE)},
    ),
    Route(
        "admin-tags",
        "/admin/tags",
        {"GET": Method(repositories.history, _OPERATE), "POST": Method(repositories.restore, _OPERATE)},
    ),
    Route("admin-scrub", "/admin/scrub", {"POST": Method(operations.scrub, _OPERATE)}),
    Route(
        "admin-users",
        "/admin/users",
        {
            "GET": Method(accounts.list_users, _OPERATE),
            "POST": Method(accounts.add_user, _OPERATE),
            "PUT": Method(accounts.set_password, _OPERATE),
            "DELETE": Method(accounts.remove_user, _OPERATE),
        },
    ),
    Route(
        "admin-groups",
        "/admin/groups",
        {
            "GET": Method(accounts.list_groups, _OPERATE),
            "POST": Method(accounts.join_group, _OPERATE),
            "DELETE": Method(accounts.leave_group, _OPERATE),
        },
    ),
    Route(
        "admin-robots",
        "/admin/robots",
        {
            "GET": Method(accounts.list_robots, _OPERATE),
            "POST": Method(accounts.add_robot, _OPERATE),
            "PUT": Method(accounts.rotate_robot, _OPERATE),
            "DELETE": Method(accounts.remove_robot, _OPERATE),
        },
    ),
    Route(
        "admin-rules",
        "/admin/rules",
        {
            "GET": Method(rules.list_rules, _OPERATE),
            "POST": Method(rules.grant, _OPERATE),
            "DELETE": Method(rules.revoke, _OPERATE),
        },
    ),
    Route("admin-rules-check", "/admin/rules/check", {"GET": Method(rules.check, _OPERATE)}),
    Route("admin-audit", "/admin/audit", {"GET": Method(audit.read, _OPERATE)}),
    Route("admin-backup", "/admin/backup", {"POST": Method(operations.take_snapshot, _OPERATE)}),
    Route(
        "admin-restoration",
        "/admin/restoration",
        {"GET": Method(operations.losses, _OPERATE), "POST": Method(operations.recover, _OPERATE)},
    ),
)
"""What the admin socket answers."""

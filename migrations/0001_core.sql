-- Times are milliseconds since 1970-01-01 UTC, digests are text as on the wire (algorithm:hex).

-- One row. commits grows by one with every transaction, so that after a COMMIT with an unknown outcome
-- the database itself tells whether it happened.
CREATE TABLE commit_counter (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    commits INTEGER NOT NULL
) STRICT;
INSERT INTO commit_counter VALUES (1, 0);

CREATE TABLE repository (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL
) STRICT;

-- A row stands only while its file stands: blobs/<algorithm>/<hex>.
CREATE TABLE blob (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL CHECK (size >= 0),
    created_ms INTEGER NOT NULL
) STRICT;

-- Which repositories may read which blobs.
CREATE TABLE repository_blob (
    repository_id INTEGER NOT NULL REFERENCES repository,
    blob_id INTEGER NOT NULL REFERENCES blob,
    linked_ms INTEGER NOT NULL,
    PRIMARY KEY (repository_id, blob_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX repository_blob_by_blob ON repository_blob (blob_id);

-- The type of a manifest without mediaType is that of its push, so a manifest is a row per repository.
-- annotations is a JSON object, kept here only for referrers, which list it.
CREATE TABLE manifest (
    id INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repository,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    subject TEXT,
    artifact_type TEXT,
    annotations TEXT,
    pushed_ms INTEGER NOT NULL,
    UNIQUE (repository_id, digest)
) STRICT;
CREATE INDEX manifest_by_subject ON manifest (repository_id, subject, digest) WHERE subject IS NOT NULL;

-- The bytes as pushed, apart from what is searched.
CREATE TABLE manifest_body (
    manifest_id INTEGER PRIMARY KEY REFERENCES manifest ON DELETE CASCADE,
    body BLOB NOT NULL
) STRICT;

-- What a manifest refers to, its subject aside. blob_id is bound as soon as the registry has the blob.
CREATE TABLE edge (
    manifest_id INTEGER NOT NULL REFERENCES manifest ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('config', 'layer', 'child')),
    digest TEXT NOT NULL,
    blob_id INTEGER REFERENCES blob,
    PRIMARY KEY (manifest_id, kind, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX edge_by_digest ON edge (digest);
CREATE INDEX edge_by_blob ON edge (blob_id) WHERE blob_id IS NOT NULL;

CREATE TABLE tag (
    repository_id INTEGER NOT NULL REFERENCES repository,
    name TEXT NOT NULL,
    manifest_id INTEGER NOT NULL REFERENCES manifest,
    PRIMARY KEY (repository_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_by_manifest ON tag (manifest_id);

-- Every change of a tag, written in the transaction of the change. NULL: the tag did not exist before, or after.
CREATE TABLE tag_history (
    id INTEGER PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repository,
    tag TEXT NOT NULL,
    changed_ms INTEGER NOT NULL,
    principal TEXT NOT NULL,
    old_digest TEXT,
    new_digest TEXT
) STRICT;
CREATE INDEX tag_history_by_tag ON tag_history (repository_id, tag);

-- An upload session; its bytes stand in uploads/<id>, at least "offset" of them. The repository need not exist yet.
CREATE TABLE upload (
    id TEXT PRIMARY KEY,
    repository TEXT NOT NULL,
    principal TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    "offset" INTEGER NOT NULL CHECK ("offset" >= 0),
    created_ms INTEGER NOT NULL,
    active_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_by_activity ON upload (active_ms);

-- Times named ..._clock_ms are on the daemon's clock, which stands still while no daemon runs.

ALTER TABLE commit_counter RENAME TO daemon;
ALTER TABLE daemon ADD COLUMN clock_ms INTEGER NOT NULL DEFAULT 0;
-- Written into the blob folder too, anew at each start: do the two belong together?
ALTER TABLE daemon ADD COLUMN start_id TEXT;
-- Set while this database is known to be older than the blob folder, or another one's; nothing is swept then.
ALTER TABLE daemon ADD COLUMN restored_ms INTEGER;
-- A snapshot made at this time or later finds the files of all its blobs.
ALTER TABLE daemon ADD COLUMN restorable_since_ms INTEGER NOT NULL DEFAULT 0;

-- condemned: no repository links the blob, and the file goes when the horizon has passed.
-- damage: the file is not there, or not what its name says; the next push heals it.
ALTER TABLE blob ADD COLUMN condemned_clock_ms INTEGER;
ALTER TABLE blob ADD COLUMN verified_clock_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE blob ADD COLUMN damage TEXT CHECK (damage IN ('corrupt', 'missing'));
CREATE INDEX blob_by_condemnation ON blob (condemned_clock_ms) WHERE condemned_clock_ms IS NOT NULL;
CREATE INDEX blob_by_verification ON blob (verified_clock_ms);
CREATE INDEX blob_damaged ON blob (damage) WHERE damage IS NOT NULL;

-- unreferenced: since when no manifest of the repository refers to the blob; NULL while one does.
-- kept_until: the end of the last lease.
ALTER TABLE repository_blob ADD COLUMN unreferenced_clock_ms INTEGER;
ALTER TABLE repository_blob ADD COLUMN kept_until_clock_ms INTEGER NOT NULL DEFAULT 0;
CREATE INDEX repository_blob_unreferenced ON repository_blob (unreferenced_clock_ms)
    WHERE unreferenced_clock_ms IS NOT NULL;

-- unreachable: since when garbage collection knows that neither a tag nor a manifest that has one leads here.
ALTER TABLE manifest ADD COLUMN unreachable_clock_ms INTEGER;
ALTER TABLE manifest ADD COLUMN kept_until_clock_ms INTEGER NOT NULL DEFAULT 0;
-- damaged: the bytes are not what the digest says; the next push heals them.
ALTER TABLE manifest ADD COLUMN damaged INTEGER NOT NULL DEFAULT 0;
CREATE INDEX manifest_damaged ON manifest (damaged) WHERE damaged;
CREATE INDEX manifest_unreachable ON manifest (unreachable_clock_ms) WHERE unreachable_clock_ms IS NOT NULL;

-- orphaned: since when the manifest that a tag such as sha256-<hex>.sig is about is known to be gone.
ALTER TABLE tag ADD COLUMN orphaned_clock_ms INTEGER;
ALTER TABLE tag_history ADD COLUMN changed_clock_ms INTEGER NOT NULL DEFAULT 0;

-- blob_id is bound while the manifest's own repository links the blob: that link then can't go.
CREATE TABLE edge_of_repository (
    manifest_id INTEGER NOT NULL REFERENCES manifest ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('config', 'layer', 'child')),
    digest TEXT NOT NULL,
    repository_id INTEGER NOT NULL,
    blob_id INTEGER,
    PRIMARY KEY (manifest_id, kind, digest),
    FOREIGN KEY (repository_id, blob_id) REFERENCES repository_blob
) STRICT, WITHOUT ROWID;
INSERT INTO edge_of_repository (manifest_id, kind, digest, repository_id, blob_id)
    SELECT edge.manifest_id, edge.kind, edge.digest, manifest.repository_id, repository_blob.blob_id
    FROM edge JOIN manifest ON manifest.id = edge.manifest_id
    LEFT JOIN repository_blob
        ON repository_blob.repository_id = manifest.repository_id AND repository_blob.blob_id = edge.blob_id;
DROP TABLE edge;
ALTER TABLE edge_of_repository RENAME TO edge;
CREATE INDEX edge_by_digest ON edge (repository_id, digest);
CREATE INDEX edge_by_blob ON edge (repository_id, blob_id) WHERE blob_id IS NOT NULL;

UPDATE repository_blob SET unreferenced_clock_ms = 0 WHERE NOT EXISTS (
    SELECT 1 FROM edge WHERE edge.repository_id = repository_blob.repository_id
        AND edge.blob_id = repository_blob.blob_id);
UPDATE blob SET condemned_clock_ms = 0 WHERE NOT EXISTS (
    SELECT 1 FROM repository_blob WHERE repository_blob.blob_id = blob.id);

CREATE TRIGGER condemned_blob_has_no_link BEFORE UPDATE OF condemned_clock_ms ON blob
    WHEN NEW.condemned_clock_ms IS NOT NULL AND EXISTS (SELECT 1 FROM repository_blob WHERE blob_id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'a repository links the blob: it cannot be condemned');
END;
CREATE TRIGGER linked_blob_is_not_condemned BEFORE INSERT ON repository_blob
    WHEN (SELECT condemned_clock_ms FROM blob WHERE id = NEW.blob_id) IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'the blob is condemned: it cannot be linked');
END;

-- A file that no row knows, below blobs/ or uploads/, and when it was first seen.
CREATE TABLE orphan (
    path TEXT PRIMARY KEY,
    seen_clock_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE upload RENAME COLUMN active_ms TO active_clock_ms;
UPDATE upload SET active_clock_ms = 0;

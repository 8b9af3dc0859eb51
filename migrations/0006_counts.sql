-- How many rows there are, so that nobody who asks has to count them. They stand in the row that each commit writes.
ALTER TABLE daemon ADD COLUMN repositories INTEGER NOT NULL DEFAULT 0;
ALTER TABLE daemon ADD COLUMN blobs INTEGER NOT NULL DEFAULT 0;
ALTER TABLE daemon ADD COLUMN blob_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE daemon ADD COLUMN manifests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE daemon ADD COLUMN tags INTEGER NOT NULL DEFAULT 0;
UPDATE daemon SET
    repositories = (SELECT COUNT(*) FROM repository),
    blobs = (SELECT COUNT(*) FROM blob),
    blob_bytes = (SELECT COALESCE(SUM(size), 0) FROM blob),
    manifests = (SELECT COUNT(*) FROM manifest),
    tags = (SELECT COUNT(*) FROM tag);

CREATE TRIGGER repository_added AFTER INSERT ON repository
    BEGIN UPDATE daemon SET repositories = repositories + 1; END;
CREATE TRIGGER repository_removed AFTER DELETE ON repository
    BEGIN UPDATE daemon SET repositories = repositories - 1; END;
CREATE TRIGGER blob_added AFTER INSERT ON blob
    BEGIN UPDATE daemon SET blobs = blobs + 1, blob_bytes = blob_bytes + NEW.size; END;
CREATE TRIGGER blob_changed AFTER UPDATE OF size ON blob WHEN NEW.size <> OLD.size
    BEGIN UPDATE daemon SET blob_bytes = blob_bytes - OLD.size + NEW.size; END;
CREATE TRIGGER blob_removed AFTER DELETE ON blob
    BEGIN UPDATE daemon SET blobs = blobs - 1, blob_bytes = blob_bytes - OLD.size; END;
CREATE TRIGGER manifest_added AFTER INSERT ON manifest
    BEGIN UPDATE daemon SET manifests = manifests + 1; END;
CREATE TRIGGER manifest_removed AFTER DELETE ON manifest
    BEGIN UPDATE daemon SET manifests = manifests - 1; END;
CREATE TRIGGER tag_added AFTER INSERT ON tag
    BEGIN UPDATE daemon SET tags = tags + 1; END;
CREATE TRIGGER tag_removed AFTER DELETE ON tag
    BEGIN UPDATE daemon SET tags = tags - 1; END;

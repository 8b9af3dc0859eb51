-- A user, or a robot ("robot:NAME"). secret_hash: argon2id (PHC string) of a password, SHA-256 (hex) of a robot's secret.
CREATE TABLE account (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('user', 'robot')),
    secret_hash TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    used_ms INTEGER
) STRICT;

CREATE INDEX account_by_secret ON account (kind, secret_hash);

-- member is a principal's name: users of an htpasswd file are members too, and have no account.
CREATE TABLE group_member (
    group_name TEXT NOT NULL,
    member TEXT NOT NULL,
    PRIMARY KEY (group_name, member)
) STRICT, WITHOUT ROWID;

-- subject: a principal's name, "group:NAME", "anonymous" or "authenticated". rights: words separated by spaces.
CREATE TABLE rule (
    subject TEXT NOT NULL,
    pattern TEXT NOT NULL,
    rights TEXT NOT NULL,
    PRIMARY KEY (subject, pattern)
) STRICT, WITHOUT ROWID;

-- One row. rules_version grows with every change of rules or groups, so that what was made of them is known to be
-- current. decoy_key: which user's time a name takes that nobody has; it has to outlive restarts.
CREATE TABLE access_state (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    rules_version INTEGER NOT NULL,
    decoy_key BLOB NOT NULL
) STRICT;
INSERT INTO access_state VALUES (1, 0, randomblob(32));
CREATE TRIGGER rule_added AFTER INSERT ON rule
    BEGIN UPDATE access_state SET rules_version = rules_version + 1; END;
CREATE TRIGGER rule_changed AFTER UPDATE ON rule
    BEGIN UPDATE access_state SET rules_version = rules_version + 1; END;
CREATE TRIGGER rule_removed AFTER DELETE ON rule
    BEGIN UPDATE access_state SET rules_version = rules_version + 1; END;
CREATE TRIGGER member_added AFTER INSERT ON group_member
    BEGIN UPDATE access_state SET rules_version = rules_version + 1; END;
CREATE TRIGGER member_removed AFTER DELETE ON group_member
    BEGIN UPDATE access_state SET rules_version = rules_version + 1; END;

-- hash: SHA-256 (hex) of the token. credential: SHA-256 (hex) of the stored hash that its principal had matched; another
-- password ends the token. groups: what an external issuer said. scopes: JSON; NULL where nothing limits the token.
CREATE TABLE token (
    hash TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('access', 'refresh')),
    principal TEXT NOT NULL,
    credential TEXT NOT NULL,
    groups TEXT NOT NULL,
    scopes TEXT,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX token_by_expiry ON token (expires_ms);
CREATE INDEX token_by_principal ON token (principal);

-- Who changed what, written in the transaction of the change; and logins that failed.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    clock_ms INTEGER NOT NULL,
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    repository TEXT,
    subject TEXT,
    before TEXT,
    after TEXT
) STRICT;
CREATE INDEX audit_by_time ON audit (at_ms);

-- Why nobody but the operator may change anything, as the operator has switched; NULL: they may.
ALTER TABLE daemon ADD COLUMN read_only TEXT;

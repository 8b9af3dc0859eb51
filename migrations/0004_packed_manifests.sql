-- The number of the dictionary that zstandard needs to read the body; NULL: the bytes as pushed.
ALTER TABLE manifest_body ADD COLUMN dictionary INTEGER;

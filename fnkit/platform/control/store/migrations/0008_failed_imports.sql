-- Functions whose deployment cannot import its handler. There are few, so the index has only these.
ALTER TABLE functions ADD COLUMN failed_import INTEGER NOT NULL DEFAULT 0;
CREATE INDEX functions_failed_import ON functions (failed_import) WHERE failed_import = 1;

-- Images of deployments. An image outlives its function, so there is no reference to it.
CREATE TABLE images (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  region TEXT NOT NULL,
  project_id TEXT NOT NULL,
  function_id TEXT NOT NULL,
  repository TEXT NOT NULL,
  version INTEGER NOT NULL,
  expires_at INTEGER,
  status TEXT NOT NULL,
  record TEXT NOT NULL
);
CREATE UNIQUE INDEX images_tag ON images (repository, version);
CREATE INDEX images_function ON images (function_id, version);
CREATE INDEX images_project ON images (project_id, repository);
CREATE INDEX images_expiry ON images (expires_at) WHERE expires_at IS NOT NULL;

-- A token belongs either to a function or to a namespace; the other column is null.
CREATE TABLE tokens (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  region TEXT NOT NULL,
  project_id TEXT NOT NULL,
  function_id TEXT REFERENCES functions (id),
  namespace_id TEXT REFERENCES namespaces (id),
  status TEXT NOT NULL,
  record TEXT NOT NULL
);
CREATE INDEX tokens_region ON tokens (region);
CREATE INDEX tokens_project ON tokens (project_id, region);
CREATE INDEX tokens_function ON tokens (function_id, region) WHERE function_id IS NOT NULL;
CREATE INDEX tokens_namespace ON tokens (namespace_id, region) WHERE namespace_id IS NOT NULL;
CREATE INDEX tokens_unsettled ON tokens (status) WHERE status IN ('creating', 'deleting');

CREATE TABLE namespaces (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  region TEXT NOT NULL,
  project_id TEXT NOT NULL,
  organization_id TEXT NOT NULL,
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  record TEXT NOT NULL
);
CREATE UNIQUE INDEX namespaces_name ON namespaces (region, project_id, name);
CREATE INDEX namespaces_region ON namespaces (region);
CREATE INDEX namespaces_project ON namespaces (project_id, region);
CREATE INDEX namespaces_organization ON namespaces (organization_id, region);
CREATE INDEX namespaces_unsettled ON namespaces (status) WHERE status NOT IN ('ready', 'error');

CREATE TABLE functions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  region TEXT NOT NULL,
  project_id TEXT NOT NULL,
  organization_id TEXT NOT NULL,
  namespace_id TEXT NOT NULL REFERENCES namespaces (id),
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  archive TEXT,
  uid INTEGER NOT NULL,
  reserved_memory INTEGER NOT NULL,
  serving INTEGER NOT NULL,
  expires_at INTEGER,
  record TEXT NOT NULL
);
-- SQLite appends the rowid (seq, which is creation order) to every index. An index on a list's filter columns
-- therefore returns its rows already sorted, and a count reads the index alone.
CREATE UNIQUE INDEX functions_name ON functions (namespace_id, name);
CREATE INDEX functions_namespace ON functions (namespace_id, region);
CREATE INDEX functions_namespace_name ON functions (namespace_id, region, name);
CREATE INDEX functions_region ON functions (region);
CREATE INDEX functions_region_name ON functions (region, name);
CREATE INDEX functions_project ON functions (project_id, region);
CREATE INDEX functions_organization ON functions (organization_id, region);
CREATE INDEX functions_memory ON functions (organization_id, reserved_memory);
CREATE INDEX functions_archive ON functions (archive) WHERE archive IS NOT NULL;
CREATE UNIQUE INDEX functions_uid ON functions (uid) WHERE uid > 0;
CREATE INDEX functions_serving ON functions (serving) WHERE serving = 1;
CREATE INDEX functions_unsettled ON functions (status) WHERE status IN ('pending', 'deleting');
CREATE INDEX functions_expiring ON functions (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE crons (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  region TEXT NOT NULL,
  function_id TEXT NOT NULL REFERENCES functions (id),
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  record TEXT NOT NULL
);
CREATE INDEX crons_function ON crons (function_id, region);
CREATE INDEX crons_unsettled ON crons (status) WHERE status NOT IN ('ready', 'error');

-- The last scheduled run of each cron. Written in the same transaction as the run's delivery, so that no run is
-- started twice.
CREATE TABLE ticks (
  cron_id TEXT PRIMARY KEY REFERENCES crons (id) ON DELETE CASCADE,
  at REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE deliveries (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  source_id TEXT NOT NULL,
  status TEXT NOT NULL,
  record TEXT NOT NULL
);
CREATE INDEX deliveries_source ON deliveries (source_id, seq);
CREATE INDEX deliveries_pending ON deliveries (status) WHERE status = 'pending';

CREATE TABLE facts (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

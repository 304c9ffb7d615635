CREATE TABLE domains (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  region TEXT NOT NULL,
  function_id TEXT NOT NULL REFERENCES functions (id),
  hostname TEXT NOT NULL,
  status TEXT NOT NULL,
  routed INTEGER NOT NULL,
  record TEXT NOT NULL
);
-- A hostname is unique across all regions. It can be bound again while its former domain is still being deleted.
CREATE UNIQUE INDEX domains_hostname ON domains (hostname) WHERE status <> 'deleting';
CREATE INDEX domains_function ON domains (function_id, region);
CREATE INDEX domains_function_hostname ON domains (function_id, region, hostname);
CREATE INDEX domains_name ON domains (hostname);

CREATE TABLE triggers (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  region TEXT NOT NULL,
  project_id TEXT NOT NULL,
  namespace_id TEXT NOT NULL,
  function_id TEXT NOT NULL REFERENCES functions (id),
  status TEXT NOT NULL,
  record TEXT NOT NULL
);
CREATE INDEX triggers_region ON triggers (region);
CREATE INDEX triggers_project ON triggers (project_id, region);
CREATE INDEX triggers_namespace ON triggers (namespace_id, region);
CREATE INDEX triggers_function ON triggers (function_id, region);
CREATE INDEX triggers_status ON triggers (status);

-- Quota usage per organization, maintained by SQL triggers, so that checking a quota takes the same time with ten
-- thousand functions as with none.
CREATE TABLE organization_usage (
  organization_id TEXT PRIMARY KEY,
  functions INTEGER NOT NULL,
  memory INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO organization_usage (organization_id, functions, memory)
  SELECT organization_id, COUNT(*), SUM(reserved_memory) FROM functions GROUP BY organization_id;
CREATE TRIGGER functions_usage_more AFTER INSERT ON functions BEGIN
  INSERT INTO organization_usage (organization_id, functions, memory)
    VALUES (NEW.organization_id, 1, NEW.reserved_memory)
    ON CONFLICT (organization_id) DO UPDATE
    SET functions = functions + 1, memory = memory + excluded.memory;
END;
CREATE TRIGGER functions_usage_less AFTER DELETE ON functions BEGIN
  UPDATE organization_usage SET functions = functions - 1, memory = memory - OLD.reserved_memory
    WHERE organization_id = OLD.organization_id;
END;
CREATE TRIGGER functions_usage_other AFTER UPDATE OF reserved_memory ON functions
WHEN NEW.reserved_memory <> OLD.reserved_memory BEGIN
  UPDATE organization_usage SET memory = memory + NEW.reserved_memory - OLD.reserved_memory
    WHERE organization_id = NEW.organization_id;
END;
DROP INDEX IF EXISTS functions_memory;

BEGIN TRANSACTION;
CREATE TABLE crons (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  region TEXT NOT NULL,
  function_id TEXT NOT NULL REFERENCES functions (id),
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  record TEXT NOT NULL
, project_id TEXT NOT NULL DEFAULT '');
INSERT INTO "crons" VALUES(1,'c','fr-par','f','hourly','ready','{"id":"c","region":"fr-par","function_id":"f","schedule":"0 * * * *","args":{"sealed":1,"tries":[1]},"name":"hourly","created_at":1700000000000000000,"status":"ready","schedule_changed_at":1700000000000000005,"project_id":"p"}','p');
CREATE TABLE deliveries (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  source_id TEXT NOT NULL,
  status TEXT NOT NULL,
  record TEXT NOT NULL
, message_id TEXT, replayed_by TEXT, body BLOB NOT NULL DEFAULT x'');
INSERT INTO "deliveries" VALUES(1,'d','c','failed','{"id":"d","kind":"cron","name":"hourly","function":"hello","at":"2023-11-14T22:13:20Z","attempts":2,"status":"failed","http_status":500,"duration_ms":1.5,"error":"","cause":"tick","message_id":null,"body_size":5,"replay_of":null,"replayed_by":null,"lag_ms":null,"recent_attempts":[{"http_status":500,"duration_ms":1.0},{"error":"x"}]}',NULL,NULL,X'62C3B66479');
CREATE TABLE domains (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  region TEXT NOT NULL,
  function_id TEXT NOT NULL REFERENCES functions (id),
  hostname TEXT NOT NULL,
  status TEXT NOT NULL,
  routed INTEGER NOT NULL,
  record TEXT NOT NULL
, project_id TEXT NOT NULL DEFAULT '');
INSERT INTO "domains" VALUES(1,'h','fr-par','f','shop.example.com','ready',1,'{"id":"h","region":"fr-par","function_id":"f","hostname":"shop.example.com","created_at":1700000000000000000,"status":"ready","routed":true,"was_ready":true,"error_message":null,"project_id":"p"}','p');
CREATE TABLE facts (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "facts" VALUES('clock','{"platform_time":1700000000.0,"real_time":1700000001.0,"speed":1.0}');
INSERT INTO "facts" VALUES('key_fingerprint','"dd630a267d5152021908e838369b9771ba2c8dcba4e88eafd6dcbb052823e50e"');
INSERT INTO "facts" VALUES('nats_consumers','{"u":{"account":"a","project":"p","region":"fr-par","start_time":"2023-11-14T22:13:20Z","ack_floors":{"s":7},"streams_created":{"s":"x"}}}');
INSERT INTO "facts" VALUES('ticks_decided','1700000000.0');
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
INSERT INTO "functions" VALUES(1,'f','fr-par','p','o','n','hello','ready','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',0,1280,1,NULL,'{"id":"f","region":"fr-par","name":"hello","namespace_id":"n","project_id":"p","organization_id":"o","host_label":"shop-x","created_at":1700000000000000000,"updated_at":1700000000000000000,"settings":{"runtime":"python311","handler":"handler.handle","memory":256,"cpu":140,"timeout":10000000000,"min_scale":0,"max_scale":5,"privacy":"public","http_option":"enabled","sandbox":"v2","environment":{"E":"é"},"secrets":[{"key":"C","hashed_value":"$argon2id$h","ciphertext":"9eEm4hlXEyZsg/CtneKZLWqLkCglBZjq7RW7+y5wdxJr"}]},"status":"ready","description":"","tags":[],"private_network_id":null,"error_message":null,"build_message":null,"ready_at":1700000000000000000,"archive":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","generation":3,"serving":{"generation":3,"settings":{"runtime":"python311","handler":"handler.handle","memory":256,"cpu":140,"timeout":10000000000,"min_scale":0,"max_scale":5,"privacy":"public","http_option":"enabled","sandbox":"v2","environment":{"E":"é"},"secrets":[{"key":"C","hashed_value":"$argon2id$h","ciphertext":"9eEm4hlXEyZsg/CtneKZLWqLkCglBZjq7RW7+y5wdxJr"}]},"code":"/data/deployments/f-3","interpreter":"/usr/bin/python3","archive":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"expires_at":null,"uid":0}');
INSERT INTO "functions" VALUES(2,'g','fr-par','p','o','n','plain','created',NULL,0,1280,0,NULL,'{"id":"g","region":"fr-par","name":"plain","namespace_id":"n","project_id":"p","organization_id":"o","host_label":"shop-x","created_at":1700000000000000000,"updated_at":1700000000000000000,"settings":{"runtime":"python311","handler":"handler.handle","memory":256,"cpu":140,"timeout":10000000000,"min_scale":0,"max_scale":5,"privacy":"public","http_option":"enabled","sandbox":"v2","environment":{"E":"é"},"secrets":[]},"status":"created","description":"","tags":[],"private_network_id":null,"error_message":null,"build_message":null,"ready_at":null,"archive":null,"generation":0,"serving":null,"expires_at":null,"uid":0}');
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
INSERT INTO "namespaces" VALUES(1,'n','fr-par','p','o','shop','ready','{"id":"n","region":"fr-par","name":"shop","project_id":"p","organization_id":"o","label":"shop-x","created_at":1700000000000000000,"updated_at":1700000000000000000,"status":"ready","environment":{"sealed":"kept","since":"kept"},"secrets":[{"key":"A","hashed_value":"$argon2id$h","ciphertext":"vlhOzOT85+n5OPUsfoCSTXwG4tRqZ0uYEYEGusB3KA=="},{"key":"B","hashed_value":"$argon2id$h","ciphertext":"dYYRl3xfjS7geIMT7engwklwXyNQltGB2bXvBvKB9Q=="}],"description":"","tags":[],"vpc_integration_activated":false,"registry_namespace_id":"","error_message":null}');
CREATE TABLE organization_usage (
  organization_id TEXT PRIMARY KEY,
  functions INTEGER NOT NULL,
  memory INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "organization_usage" VALUES('o',2,2560);
CREATE TABLE ticks (
  cron_id TEXT PRIMARY KEY REFERENCES crons (id) ON DELETE CASCADE,
  at REAL NOT NULL
) WITHOUT ROWID;
INSERT INTO "ticks" VALUES('c',1700000000.0);
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
INSERT INTO "tokens" VALUES(1,'k','fr-par','p','f',NULL,'ready','{"id":"k","region":"fr-par","project_id":"p","function_id":"f","namespace_id":null,"created_at":1700000000000000000,"expires_at":null,"description":"","status":"ready"}');
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
INSERT INTO "triggers" VALUES(1,'t','fr-par','p','n','f','ready','{"id":"t","region":"fr-par","function_id":"f","namespace_id":"n","project_id":"p","name":"jobs","description":"","source":{"type":"sqs","endpoint":"https://sqs","queue_url":"https://sqs/q","access_key":"AK","ciphertext":"aDnO5kTeBvrEfD5iZjK4vIH3TzVN0dM/LK9n7C32RLU="},"created_at":1700000000000000000,"status":"ready","error_message":null}');
INSERT INTO "triggers" VALUES(2,'u','fr-par','p','n','f','ready','{"id":"u","region":"fr-par","function_id":"f","namespace_id":"n","project_id":"p","name":"nats","description":"","source":{"type":"scw_nats","subject":"s","account_id":"a","project_id":"p","region":"fr-par","credential_id":null},"created_at":1700000000000000000,"status":"ready","error_message":null}');
CREATE UNIQUE INDEX namespaces_name ON namespaces (region, project_id, name);
CREATE INDEX namespaces_region ON namespaces (region);
CREATE INDEX namespaces_project ON namespaces (project_id, region);
CREATE INDEX namespaces_unsettled ON namespaces (status) WHERE status NOT IN ('ready', 'error');
CREATE UNIQUE INDEX functions_name ON functions (namespace_id, name);
CREATE INDEX functions_namespace ON functions (namespace_id, region);
CREATE INDEX functions_namespace_name ON functions (namespace_id, region, name);
CREATE INDEX functions_region_name ON functions (region, name);
CREATE INDEX functions_archive ON functions (archive) WHERE archive IS NOT NULL;
CREATE UNIQUE INDEX functions_uid ON functions (uid) WHERE uid > 0;
CREATE INDEX functions_serving ON functions (serving) WHERE serving = 1;
CREATE INDEX functions_unsettled ON functions (status) WHERE status IN ('pending', 'deleting');
CREATE INDEX functions_expiring ON functions (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX crons_unsettled ON crons (status) WHERE status NOT IN ('ready', 'error');
CREATE INDEX deliveries_pending ON deliveries (status) WHERE status = 'pending';
CREATE UNIQUE INDEX domains_hostname ON domains (hostname) WHERE status <> 'deleting';
CREATE INDEX domains_function ON domains (function_id, region);
CREATE INDEX domains_function_hostname ON domains (function_id, region, hostname);
CREATE INDEX domains_name ON domains (hostname);
CREATE INDEX triggers_region ON triggers (region);
CREATE INDEX triggers_project ON triggers (project_id, region);
CREATE INDEX triggers_namespace ON triggers (namespace_id, region);
CREATE INDEX triggers_function ON triggers (function_id, region);
CREATE INDEX triggers_status ON triggers (status);
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
CREATE INDEX tokens_region ON tokens (region);
CREATE INDEX tokens_project ON tokens (project_id, region);
CREATE INDEX tokens_function ON tokens (function_id, region) WHERE function_id IS NOT NULL;
CREATE INDEX tokens_namespace ON tokens (namespace_id, region) WHERE namespace_id IS NOT NULL;
CREATE INDEX tokens_unsettled ON tokens (status) WHERE status IN ('creating', 'deleting');
CREATE INDEX deliveries_source ON deliveries (source_id, seq, status);
CREATE INDEX deliveries_message ON deliveries (source_id, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX namespaces_organization ON namespaces (organization_id, region);
CREATE INDEX functions_region ON functions (region);
CREATE INDEX functions_project ON functions (project_id, region);
CREATE INDEX functions_organization ON functions (organization_id, region);
CREATE INDEX crons_function ON crons (function_id, region);
CREATE INDEX crons_region ON crons (region);
CREATE INDEX crons_project ON crons (project_id, region);
CREATE INDEX domains_region ON domains (region);
CREATE INDEX domains_region_hostname ON domains (region, hostname);
CREATE INDEX domains_project ON domains (project_id, region);
CREATE UNIQUE INDEX images_tag ON images (repository, version);
CREATE INDEX images_function ON images (function_id, version);
CREATE INDEX images_project ON images (project_id, repository);
CREATE INDEX images_expiry ON images (expires_at) WHERE expires_at IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('namespaces',1);
INSERT INTO "sqlite_sequence" VALUES('functions',2);
INSERT INTO "sqlite_sequence" VALUES('crons',1);
INSERT INTO "sqlite_sequence" VALUES('deliveries',1);
INSERT INTO "sqlite_sequence" VALUES('domains',1);
INSERT INTO "sqlite_sequence" VALUES('triggers',2);
INSERT INTO "sqlite_sequence" VALUES('tokens',1);
COMMIT;
PRAGMA user_version=7;

-- Crons and domains have the project of their function, so that they are listed by project like all other kinds.
ALTER TABLE crons ADD COLUMN project_id TEXT NOT NULL DEFAULT '';
ALTER TABLE domains ADD COLUMN project_id TEXT NOT NULL DEFAULT '';
UPDATE crons SET project_id = (SELECT project_id FROM functions WHERE id = function_id);
UPDATE domains SET project_id = (SELECT project_id FROM functions WHERE id = function_id);
UPDATE crons SET record = json_set(record, '$.project_id', project_id);
UPDATE domains SET record = json_set(record, '$.project_id', project_id);
CREATE INDEX crons_region ON crons (region);
CREATE INDEX crons_project ON crons (project_id, region);
CREATE INDEX domains_region ON domains (region);
CREATE INDEX domains_region_hostname ON domains (region, hostname);
CREATE INDEX domains_project ON domains (project_id, region);

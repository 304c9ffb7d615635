-- Fields of records that were renamed: "sealed" of secrets, "since" of crons, "tries" of deliveries, and the fields
-- of the clock and of NATS consumers. Databases that were written after the renaming have the new names already.
UPDATE namespaces SET record = json_set(record, '$.secrets', json((
    SELECT json_group_array(json_remove(json_set(value, '$.ciphertext', json_extract(value, '$.sealed')), '$.sealed'))
    FROM json_each(record, '$.secrets')
  ))) WHERE json_extract(record, '$.secrets[0].sealed') IS NOT NULL;
UPDATE functions SET record = json_set(record, '$.settings.secrets', json((
    SELECT json_group_array(json_remove(json_set(value, '$.ciphertext', json_extract(value, '$.sealed')), '$.sealed'))
    FROM json_each(record, '$.settings.secrets')
  ))) WHERE json_extract(record, '$.settings.secrets[0].sealed') IS NOT NULL;
UPDATE functions SET record = json_set(record, '$.serving.settings.secrets', json((
    SELECT json_group_array(json_remove(json_set(value, '$.ciphertext', json_extract(value, '$.sealed')), '$.sealed'))
    FROM json_each(record, '$.serving.settings.secrets')
  ))) WHERE json_extract(record, '$.serving.settings.secrets[0].sealed') IS NOT NULL;
UPDATE triggers SET record = json_remove(
    json_set(record, '$.source.ciphertext', json_extract(record, '$.source.sealed')), '$.source.sealed'
  ) WHERE json_extract(record, '$.source.sealed') IS NOT NULL;
UPDATE crons SET record = json_remove(
    json_set(record, '$.schedule_changed_at', json_extract(record, '$.since')), '$.since'
  ) WHERE json_extract(record, '$.since') IS NOT NULL;
UPDATE deliveries SET record = json_remove(
    json_set(record, '$.recent_attempts', json_extract(record, '$.tries')), '$.tries'
  ) WHERE json_extract(record, '$.tries') IS NOT NULL;
UPDATE facts SET value = json_object(
    'platform_time', json_extract(value, '$.epoch'), 'real_time', json_extract(value, '$.real'),
    'speed', COALESCE(json_extract(value, '$.speed'), 1.0)
  ) WHERE name = 'clock' AND json_extract(value, '$.epoch') IS NOT NULL;
UPDATE facts SET value = (
    SELECT json_group_object(key, CASE WHEN json_extract(entry.value, '$.since') IS NULL THEN json(entry.value)
      ELSE json_object(
        'account', json_extract(entry.value, '$.account'), 'project', json_extract(entry.value, '$.project'),
        'region', json_extract(entry.value, '$.region'), 'start_time', json_extract(entry.value, '$.since'),
        'ack_floors', json(COALESCE(json_extract(entry.value, '$.streams'), '{}')),
        'streams_created', json(COALESCE(json_extract(entry.value, '$.made'), '{}'))
      ) END)
    FROM json_each(facts.value) AS entry
  ) WHERE name = 'nats_consumers';

-- Indexes that the first databases of schema 1 do not have, or have on other columns.
DROP INDEX namespaces_organization;
DROP INDEX functions_region;
DROP INDEX functions_project;
DROP INDEX functions_organization;
DROP INDEX crons_function;
CREATE INDEX IF NOT EXISTS namespaces_region ON namespaces (region);
CREATE INDEX IF NOT EXISTS namespaces_project ON namespaces (project_id, region);
CREATE INDEX namespaces_organization ON namespaces (organization_id, region);
CREATE INDEX IF NOT EXISTS functions_namespace ON functions (namespace_id, region);
CREATE INDEX IF NOT EXISTS functions_namespace_name ON functions (namespace_id, region, name);
CREATE INDEX functions_region ON functions (region);
CREATE INDEX IF NOT EXISTS functions_region_name ON functions (region, name);
CREATE INDEX functions_project ON functions (project_id, region);
CREATE INDEX functions_organization ON functions (organization_id, region);
CREATE INDEX crons_function ON crons (function_id, region);
